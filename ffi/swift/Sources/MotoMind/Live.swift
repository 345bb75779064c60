import Foundation

/// Passes what it hears to a stream.
private final class Hears: Listener {
    private let changed: @Sendable (Changes) -> Void
    private let stands: @Sendable (Status) -> Void

    init(
        changed: @escaping @Sendable (Changes) -> Void = { _ in },
        stands: @escaping @Sendable (Status) -> Void = { _ in }
    ) {
        self.changed = changed
        self.stands = stands
    }

    func onChange(changes: Changes) throws { changed(changes) }
    func onStatus(status: Status) throws { stands(status) }
}

extension MotoMind {
    /// What changes from now on. Ends with whoever iterates.
    public var changes: AsyncStream<Changes> {
        AsyncStream(bufferingPolicy: .bufferingNewest(64)) { stream in
            let subscription = subscribe(listener: Hears(changed: { stream.yield($0) }))
            stream.onTermination = { _ in subscription.cancel() }
        }
    }

    /// How syncing stands, whenever that changes; of several, the newest.
    public var statuses: AsyncStream<Status> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { stream in
            let subscription = subscribe(listener: Hears(stands: { stream.yield($0) }))
            stream.onTermination = { _ in subscription.cancel() }
        }
    }

    /// The result of a query: now, and again whenever one of the tables changes (`events`,
    /// `pending`, `status`, `photos`, or a collection of records).
    public func watch<Result: Sendable>(
        _ tables: Set<String>,
        query: @escaping @Sendable (MotoMind) async throws -> Result
    ) -> AsyncThrowingStream<Result, Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { stream in
            let heard = changes
            let watching = Task {
                do {
                    stream.yield(try await query(self))
                    for await change in heard where !tables.isDisjoint(with: change.tables) {
                        stream.yield(try await query(self))
                    }
                    stream.finish()
                } catch {
                    stream.finish(throwing: error)
                }
            }
            stream.onTermination = { _ in watching.cancel() }
        }
    }
}
