import MotoMind

/// Who is signed in. An app asks its own account here; the token may come from the network.
final class Account: TokenProvider {
    static let server = "https://sync.example.com"
    static let tenant = "00000000-0000-7000-8000-000000000001"
    static let user = "00000000-0000-7000-8000-000000000002"

    func token() throws -> String? { nil }
}
