import CoreLocation
import MotoMind
import PhotosUI
import SwiftUI

@main
struct SampleApp: App {
    @State private var garage = Garage()
    @Environment(\.scenePhase) private var phase

    var body: some Scene {
        WindowGroup {
            VehiclesView(garage: garage)
                .task { await garage.open() }
        }
        .onChange(of: phase) { _, now in
            // The system ends an app that holds a database while it is suspended.
            Task { now == .background ? await garage.rest() : await garage.wake() }
        }
    }
}

/// The one device of whoever is signed in, and what the screen shows of it.
@MainActor @Observable
final class Garage {
    private(set) var vehicles: [VehicleEntry] = []
    private(set) var unsent: UInt64 = 0
    private(set) var problem: String?
    private var device: MotoMind?

    func open() async {
        do {
            let home = URL.applicationSupportDirectory.appending(path: "motomind/\(Account.user)")
            let options = Options(
                directory: home.path,
                identity: Identity(tenantId: Account.tenant, userId: Account.user),
                server: Account.server
            )
            let device = try await MotoMind.open(options: options, tokens: Account(), clock: SystemClock())
            self.device = device
            try device.startSync()
            Task { for await status in device.statuses { unsent = status.unsent + status.picturesUnsent } }
            for try await vehicles in device.watch(["events", "vehicles", "pending"], query: { try await $0.vehicles() }) {
                self.vehicles = vehicles
            }
        } catch {
            problem = "\(error)"
        }
    }

    func rest() async { try? await device?.suspend() }
    func wake() async { try? await device?.resume() }

    /// Damage with a photo and a position: durable when this returns, with or without a signal.
    func report(_ words: String, on vehicle: VehicleEntry, photo: Data?, at place: CLLocation?) async {
        guard let device else { return }
        let now = Date()
        let day = now.formatted(.iso8601.year().month().day().dateSeparator(.dash))
        let payload = (try? JSONEncoder().encode(["description": words])) ?? Data("{}".utf8)
        let fix = place.map {
            Fix(
                latitude: $0.coordinate.latitude, longitude: $0.coordinate.longitude,
                accuracyM: $0.horizontalAccuracy, source: .gps
            )
        }
        let capture = Capture(
            vehicleId: vehicle.vehicle.id, kind: "damage",
            occurredAt: Int64(now.timeIntervalSince1970 * 1_000), date: day,
            timezone: TimeZone.current.identifier, payload: String(decoding: payload, as: UTF8.self), fix: fix
        )
        do {
            let photos = photo.map { [GivenPhoto(source: .bytes(bytes: $0), meta: PhotoMeta())] } ?? []
            _ = try await device.captureWithPhotos(capture: capture, photos: photos)
        } catch MotoMindError.Invalid(let fields) {
            problem = fields.map { "\($0.field): \($0.message)" }.joined(separator: "\n")
        } catch {
            problem = "\(error)"
        }
    }
}
