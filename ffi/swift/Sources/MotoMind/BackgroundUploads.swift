import Foundation

/// Originals go up by the system, also while the app is suspended or was ended by it.
///
///     let uploads = BackgroundUploads(device, session: "com.example.garage.uploads", files: directory)
///     try await uploads.handOver()                        // after a sync, and when going to background
///
/// Set `originalsByHost` in the transfer policy. The system wakes the app with
/// `application(_:handleEventsForBackgroundURLSession:completionHandler:)`; give that handler to
/// `finished`.
public final class BackgroundUploads: NSObject, URLSessionTaskDelegate, @unchecked Sendable {
    /// Called once the system has told everything; what the app delegate was given.
    public var finished: (@MainActor () -> Void)?

    private let device: MotoMind
    private let files: URL
    private var session: URLSession!

    public init(_ device: MotoMind, session name: String, files: URL) {
        self.device = device
        self.files = files
        super.init()
        let configuration = URLSessionConfiguration.background(withIdentifier: name)
        configuration.sessionSendsLaunchEvents = true
        configuration.isDiscretionary = false
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
    }

    /// Gives the system every plan that it does not have yet.
    public func handOver() async throws {
        let known = Set(await session.allTasks.compactMap(\.taskDescription))
        try FileManager.default.createDirectory(at: files, withIntermediateDirectories: true)
        for plan in try await device.uploadPlans() where !known.contains(Self.name(plan)) {
            guard let url = URL(string: plan.url) else { continue }
            let body = files.appendingPathComponent(plan.sha256)
            try await device.writeUpload(sha256: plan.sha256, offset: plan.offset, to: .path(path: body.path))
            var request = URLRequest(url: url)
            request.httpMethod = plan.method
            plan.headers.forEach { request.setValue($1, forHTTPHeaderField: $0) }
            let task = session.uploadTask(with: request, fromFile: body)
            task.taskDescription = Self.name(plan)
            task.resume()
        }
    }

    private static func name(_ plan: UploadPlan) -> String {
        "\(plan.photo) \(plan.variant == .original ? "original" : "preview") \(plan.sha256)"
    }

    public func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: Error?) {
        guard let words = task.taskDescription?.split(separator: " ").map(String.init), words.count == 3 else { return }
        let variant: Variant = words[1] == "original" ? .original : .preview
        let status = (task.response as? HTTPURLResponse)?.statusCode ?? 0
        try? FileManager.default.removeItem(at: files.appendingPathComponent(words[2]))
        Task {
            if error == nil && status == 204 {
                try? await device.uploadFinished(photo: words[0], variant: variant)
            } else {
                let what = error?.localizedDescription ?? "HTTP \(status)"
                try? await device.uploadFailed(photo: words[0], variant: variant, what: what)
            }
        }
    }

    public func urlSessionDidFinishEvents(forBackgroundURLSession session: URLSession) {
        Task { @MainActor in finished?() }
    }
}
