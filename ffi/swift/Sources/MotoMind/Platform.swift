import Foundation

/// The system's clocks: one that counts on while the phone sleeps, named by its boot.
public final class SystemClock: DeviceClock {
    private let life = UUID()

    public init() {}

    public func read() throws -> ClockReading {
        let wall = Int64(Date().timeIntervalSince1970 * 1_000)
        let steady = Int64(clock_gettime_nsec_np(CLOCK_MONOTONIC) / 1_000_000)
        return ClockReading(wallMs: wall, monotonicMs: steady, bootId: Self.boot ?? life.uuidString)
    }

    private static let boot: String? = {
        var size = 0
        guard sysctlbyname("kern.bootsessionuuid", nil, &size, nil, 0) == 0, size > 0 else { return nil }
        var text = [CChar](repeating: 0, count: size)
        guard sysctlbyname("kern.bootsessionuuid", &text, &size, nil, 0) == 0 else { return nil }
        return String(cString: text)
    }()
}

/// The zones that this system knows, for imports.
public final class PlatformZone: ZoneRules {
    private let calendar: Calendar

    public init?(_ name: String) {
        guard let zone = TimeZone(identifier: name) else { return nil }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        self.calendar = calendar
    }

    public func offsetsMinutes(local: String) throws -> [Int32] {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "yyyy-MM-dd'T'HH:mm:ss"
        guard let face = format.date(from: local) else { return [] }
        // Whichever offset, taken away from the clock's face, leads to an instant that has it.
        let near = [-86_400.0, 0, 86_400].map { calendar.timeZone.secondsFromGMT(for: face + $0) }
        let fitting = Set(near).filter { offset in
            calendar.timeZone.secondsFromGMT(for: face - Double(offset)) == offset
        }
        return fitting.sorted(by: >).map { Int32($0 / 60) }
    }
}
