package dev.motomind.sync

/**
 * Opens a device, does something with it, and lets go of its files at the end.
 *
 * An app usually keeps one device open for as long as it runs: [MotoMind.Companion.open] once, and
 * [MotoMind.shut] when the person signs out.
 */
suspend fun <T> MotoMind.Companion.use(
    options: Options,
    tokens: TokenProvider? = null,
    clock: DeviceClock? = null,
    block: suspend (MotoMind) -> T,
): T =
    open(options, tokens, clock).use { device ->
        try {
            block(device)
        } finally {
            kotlinx.coroutines.withContext(kotlinx.coroutines.NonCancellable) { device.shut() }
        }
    }

/** The zones that this platform knows, for imports. */
class PlatformZone(name: String) : ZoneRules {
    private val rules = java.time.ZoneId.of(name).rules

    override fun offsetsMinutes(local: String): List<Int> =
        rules.getValidOffsets(java.time.LocalDateTime.parse(local)).map { it.totalSeconds / 60 }
}
