package checks

import dev.motomind.sync.*
import java.io.File
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger
import kotlin.random.Random
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.*
import kotlinx.coroutines.flow.first

/** Captures, queries and syncs at once, from threads and coroutines, some of them given up. */
private suspend fun manyAtOnce(directory: File) {
    val operations = System.getenv("FFI_OPERATIONS")?.toInt() ?: 1_000
    val seed = System.getenv("FFI_SEED")?.toLong() ?: System.nanoTime()
    println("# FFI_SEED=$seed FFI_OPERATIONS=$operations")
    val device = opened(directory)
    val vehicles = List(4) { device.vehicleOf("Truck $it") }
    val acknowledged = ConcurrentHashMap.newKeySet<OpId>()
    val asked = ConcurrentHashMap.newKeySet<OpId>()
    val cancelled = AtomicInteger()
    device.startSync()
    coroutineScope {
        val next = AtomicInteger()
        repeat(16) { worker ->
            launch(Dispatchers.Default) {
                val random = Random(seed + worker)
                while (next.getAndIncrement() < operations) {
                    val call = launch { one(device, vehicles, random, asked, acknowledged) }
                    if (random.nextInt(4) == 0) {
                        if (random.nextBoolean()) delay(random.nextInt(5).milliseconds)
                        if (call.isActive) cancelled.incrementAndGet()
                        call.cancel()
                    }
                    call.join()
                }
            }
        }
    }
    device.stopSync()
    while (device.syncOnce() is RoundEnd.Later) delay(100)
    val there = vehicles.flatMap { device.all(it) }
    val lost = acknowledged - there.map { it.eventId }.toSet()
    expect(lost.isEmpty()) { "${lost.size} acknowledged captures were lost" }
    val strangers = there.map { it.eventId }.toSet() - asked
    expect(strangers.isEmpty()) { "${strangers.size} captures that nobody asked for" }
    expect(there.all { it.state == OpState.ACCEPTED }) { "not everything was accepted" }
    expect(device.verify() == null) { "the chain broke" }
    expect(cancelled.get() > operations / 20) { "only ${cancelled.get()} calls were cancelled" }
    println("# ${acknowledged.size} acknowledged, ${there.size} there, ${cancelled.get()} calls given up")
    device.use { it.shut() }
}

private suspend fun one(
    device: MotoMind, vehicles: List<VehicleId>, random: Random,
    asked: MutableSet<OpId>, acknowledged: MutableSet<OpId>,
) {
    val vehicle = vehicles.random(random)
    when (random.nextInt(10)) {
        in 0..5 -> {
            val id = newOperationId()
            asked += id
            acknowledged += device.capture(damage(vehicle, "a scratch", id)).opId
        }
        6, 7 -> device.timeline(Page(vehicle = vehicle))
        8 -> { device.pending(); device.status() }
        else -> if (random.nextInt(4) == 0) device.syncOnce() else device.vehicles()
    }
}

/** Threads of the host without coroutines. */
private suspend fun plainThreads(directory: File) {
    val device = opened(directory)
    val vehicle = device.vehicleOf("Truck")
    val failures = ConcurrentHashMap.newKeySet<Throwable>()
    val threads = List(8) { thread ->
        Thread {
            runCatching {
                repeat(10) { runBlocking { device.capture(damage(vehicle, "$thread/$it")) } }
            }.onFailure(failures::add)
        }.apply { start() }
    }
    withContext(Dispatchers.IO) { threads.forEach { it.join() } }
    expect(failures.isEmpty()) { failures.first().toString() }
    expect(device.all(vehicle).size == 80) { "not all 80 captures are there" }
    device.use { it.shut() }
}

private suspend fun listenersThatThrow(directory: File) {
    val device = opened(directory)
    val heard = AtomicInteger()
    val rude = listOf<() -> Unit>(
        { throw IllegalStateException("a listener's own fault") },
        { throw HostException.Failed("said so") },
        { throw AssertionError("an error, not an exception") },
    ).map { act ->
        device.subscribe(object : Listener {
            override fun onChange(changes: Changes) { heard.incrementAndGet(); act() }
            override fun onStatus(status: Status) { heard.incrementAndGet(); act() }
        })
    }
    val told = CompletableDeferred<Changes>()
    val polite = device.subscribe(object : Listener {
        override fun onChange(changes: Changes) { if ("events" in changes.tables) told.complete(changes) }
        override fun onStatus(status: Status) = Unit
    })
    val vehicle = device.vehicleOf("Truck")
    device.capture(damage(vehicle, "x"))
    expect(vehicle in told.await().vehicles) { "the polite listener did not hear of the vehicle" }
    expect(heard.get() > 0) { "the rude listeners heard nothing" }
    (rude + polite).forEach { subscription -> subscription.use { it.cancel() } }
    device.use { it.shut() }
}

private suspend fun closedInACallback(directory: File) {
    val device = opened(directory)
    val closed = CompletableDeferred<Unit>()
    device.subscribe(object : Listener {
        override fun onChange(changes: Changes) {
            runBlocking { device.shut() }
            device.destroy()
            closed.complete(Unit)
        }
        override fun onStatus(status: Status) = Unit
    })
    device.vehicleOf("Truck")
    closed.await()
    // Its files are free again.
    MotoMind.use(options(directory)) { again ->
        expect(again.pending().size == 1) { "the capture before closing was lost" }
    }
}

private suspend fun flows(directory: File) {
    val device = opened(directory)
    val vehicle = device.vehicleOf("Truck")
    coroutineScope {
        val seen = async { device.watch("events") { all(vehicle).size }.first { it == 3 } }
        val unsent = async { device.statuses().first { it.unsent == 4uL } }
        repeat(3) { device.capture(damage(vehicle, "$it")) }
        expect(seen.await() == 3) { "the query was not asked again" }
        expect(unsent.await().unsent == 4uL) { "the status did not follow" }
    }
    device.use { it.shut() }
}

/** Opened, used, closed and let go of, or only let go of, again and again. */
private suspend fun openAndClose(directory: File) {
    val rounds = System.getenv("FFI_OPENINGS")?.toInt() ?: 200
    suspend fun round(n: Int) {
        MotoMind.use(options(directory)) { device ->
            val listening = device.subscribe(object : Listener {
                override fun onChange(changes: Changes) = Unit
                override fun onStatus(status: Status) = Unit
            })
            device.status()
            if (n % 2 == 0) listening.destroy() // the other ones are left to the cleaner
        }
    }
    repeat(rounds / 4) { round(it) }
    val before = measured()
    repeat(rounds) { round(it) }
    val after = measured()
    println("# $rounds openings: $before → $after")
    expect(after.files <= before.files + 5) { "open files: ${before.files} → ${after.files}" }
    expect(after.threads <= before.threads + 8) { "threads: ${before.threads} → ${after.threads}" }
    expect(after.mib <= before.mib + 48) { "memory: ${before.mib} → ${after.mib} MiB" }
}

private data class Measured(val files: Int, val threads: Int, val mib: Long)

private fun measured(): Measured {
    repeat(3) { System.gc(); Thread.sleep(50) }
    val status = File("/proc/self/status").readLines()
    fun number(key: String) = status.first { it.startsWith(key) }.filter(Char::isDigit).toLong()
    return Measured(File("/proc/self/fd").list()!!.size, number("Threads:").toInt(), number("VmRSS:") / 1024)
}

fun Checks.threads() {
    check("captures, queries and syncs at once, some given up") { manyAtOnce(it) }
    check("threads of the host without coroutines") { plainThreads(it) }
    check("listeners that throw") { listenersThatThrow(it) }
    check("closed and let go of in a callback") { closedInACallback(it) }
    check("flows follow") { flows(it) }
    check("opened and closed again and again leaves nothing behind") { openAndClose(it) }
}
