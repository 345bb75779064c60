package checks

import dev.motomind.sync.*
import java.io.File
import kotlinx.coroutines.runBlocking

private const val CAPTURES = 2_000
private const val PAGES = 2_000

/** Median of so many calls, µs. */
private inline fun median(times: Int, call: () -> Unit): Double {
    val took = LongArray(times) {
        val start = System.nanoTime()
        call()
        System.nanoTime() - start
    }
    return took.sorted()[times / 2] / 1_000.0
}

/** The same work as ffi/examples/native.rs, across the border. */
fun figures() = runBlocking {
    val directory = kotlin.io.path.createTempDirectory("motomind-").toFile()
    val started = System.nanoTime()
    val device = MotoMind.open(options(directory), null, null)
    val vehicle = newOperationId()
    device.capture(damage(vehicle, "the first"))
    device.timeline(Page(vehicle = vehicle))
    println("kotlin first_row_ms ${(System.nanoTime() - started) / 1_000_000}")
    val capture = damage(vehicle, "a scratch")
    println("kotlin capture_us %.0f".format(median(CAPTURES) { device.capture(capture) }))
    println("kotlin page_us %.0f".format(median(PAGES) { device.timeline(Page(vehicle = vehicle)) }))
    device.use { it.shut() }
    directory.deleteRecursively()
    Unit
}
