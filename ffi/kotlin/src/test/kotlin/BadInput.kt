package checks

import dev.motomind.sync.*
import dev.motomind.sync.MotoMindException as Refused
import java.io.File

private const val NOWHERE = "00000000-0000-7000-8000-000000000000"

private suspend fun wrongTexts(device: MotoMind) {
    val vehicle = device.vehicleOf("Truck")
    for (bad in listOf("", "x", "123", "' OR 1=1 --", "\u0000", "é".repeat(100_000))) {
        refused<Refused.Malformed> { device.capture(damage(bad, "x")) }
        refused<Refused.Malformed> { device.vehicle(bad) }
        refused<Refused.Malformed> { device.capture(damage(vehicle, "x").copy(date = bad)) }
        refused<Refused.Malformed> { device.verifyOne(bad) }
    }
    refused<Refused.Malformed> { device.capture(damage(vehicle, "x").copy(payload = "{")) }
    refused<Refused.Malformed> { device.capture(damage(vehicle, "x").copy(payload = "[]")) }
    refused<Refused.Malformed> { device.create("vehicles", "not JSON") }
    refused<Refused.Malformed> { device.fetchPhoto("ab", Variant.ORIGINAL) }
    refused<Refused.Malformed> { device.capture(damage(vehicle, "x").copy(payload = "[".repeat(100_000))) }
    refused<Refused.Invalid> { device.capture(damage(vehicle, "x").copy(kind = "")) }
    refused<Refused.Invalid> { device.capture(damage(vehicle, "x").copy(timezone = "Nowhere/Nowhere?")) }
    refused<Refused.Invalid> { device.capture(damage(vehicle, "x").copy(miles = Long.MIN_VALUE)) }
    refused<Refused.Invalid> { device.capture(damage(vehicle, "x").copy(occurredAt = Long.MAX_VALUE)) }
    val fix = Fix(latitude = Double.NaN, longitude = Double.POSITIVE_INFINITY, source = FixSource.Gps)
    refused<Refused.Invalid> { device.capture(damage(vehicle, "x").copy(fix = fix)) }
    // Half a character is no text for anyone; the JVM itself says so.
    refused<java.nio.charset.CharacterCodingException> { device.capture(damage(vehicle, "\uD800")) }
    refused<Refused.Invalid> { device.records("no_such_collection", false) }
    val long = damage(vehicle, "x".repeat(3_000_000))
    val error = refused<Refused> { device.capture(long) }
    expect(error is Refused.Invalid || error is Refused.TooLarge) { "$error" }
    expect(device.timeline(Page(limit = UInt.MAX_VALUE)).entries.isEmpty()) { "something was captured" }
}

private suspend fun MotoMind.verifyOne(id: String) { operation(id) }

private suspend fun unknownThings(device: MotoMind) {
    expect(refused<Refused.Unknown> { device.amend(NOWHERE, damage(NOWHERE, "x")) }.thing == Thing.OPERATION) { "amend" }
    expect(refused<Refused.Unknown> { device.discard(NOWHERE, "x") }.thing == Thing.OPERATION) { "discard" }
    expect(refused<Refused.Unknown> { device.retract(NOWHERE, "x") }.thing == Thing.OPERATION) { "retract" }
    expect(refused<Refused.Unknown> { device.edit(RecordRef("vehicles", NOWHERE), "{\"nickname\":\"x\"}") }.thing == Thing.RECORD) { "edit" }
    expect(refused<Refused.Unknown> { device.sessionStep(NOWHERE, "odometer") }.thing == Thing.SESSION) { "step" }
    expect(refused<Refused.Unknown> { device.writePhoto(77u, ByteArray(1)) }.thing == Thing.HALF_WRITTEN_PHOTO) { "write" }
    expect(refused<Refused.Unknown> { device.uploadFinished("0".repeat(64), Variant.ORIGINAL) }.thing == Thing.PHOTO) { "plan" }
    expect(device.place(NOWHERE) == null && device.operation(NOWHERE) == null) { "what is unknown is none" }
}

private suspend fun wrongFiles(device: MotoMind, directory: File) {
    val event = device.capture(damage(device.vehicleOf("Truck"), "x")).opId
    suspend fun add(source: Source) { device.addPhoto(PhotoTarget.Event(event), GivenPhoto(source, PhotoMeta())) }
    refused<Refused.Host> { add(Source.Path("/no/such/file.jpg")) }
    refused<Refused.Host> { add(Source.Path(directory.path)) }
    refused<Refused.Host> { add(Source.Path("a\u0000b")) }
    for (fd in listOf(-1, Int.MIN_VALUE, 99_999)) refused<Refused.Host> { add(Source.Descriptor(fd)) }
    refused<Refused.Photo> { add(Source.Bytes(ByteArray(0))) }
    refused<Refused.Photo> { add(Source.Bytes("no picture".repeat(100).toByteArray())) }
    refused<Refused.Host> { device.export(Sink.Path("/no/such/directory/x"), true) }
    refused<Refused.Host> { device.export(Sink.Descriptor(99_999), true) }
    refused<Refused> { device.importFuelio(Source.Bytes(ByteArray(10)), NOWHERE, "UTC", PlatformZone("UTC"), null) }
    val piece = device.beginPhoto(PhotoTarget.Event(event), PhotoMeta())
    refused<Refused.TooLarge> { device.writePhoto(piece, ByteArray(2 * 1024 * 1024)) }
    device.abandonPhoto(piece)
    refused<Refused.Unknown> { device.finishPhoto(piece, null) }
    device.lowDisk(1_000u, 0u)
    refused<Refused.NoRoom> { add(Source.Bytes(picture(5_000))) }
    device.diskHasRoom()
    add(Source.Bytes(picture(5_000)))
}

/** As Java, or reflection, or a JSON mapper would: null where none is allowed. */
private fun nulls(device: MotoMind) {
    val open = Options::class.java.constructors.first { it.parameterCount == 4 }
    refused<java.lang.reflect.InvocationTargetException> { open.newInstance(null, null, null, null) }
    val setServer = MotoMind::class.java.getMethod("setServer", String::class.java)
    refused<java.lang.reflect.InvocationTargetException> { setServer.invoke(device, null) }
}

private suspend fun closedHandles(directory: File) {
    val device = MotoMind.open(options(directory), null, null)
    refused<Refused.AlreadyOpen> { MotoMind.open(options(directory), null, null) }
    refused<Refused.WrongIdentity> { device.suspend(); MotoMind.open(options(directory, 1), null, null) }
    refused<Refused.Suspended> { device.pending() }
    device.resume()
    device.suspend(); device.suspend(); device.resume(); device.resume()
    expect(device.pending().isEmpty()) { "resumed" }
    device.shut(); device.shut()
    refused<Refused.Closed> { device.pending() }
    refused<Refused.Closed> { device.resume() }
    refused<Refused.Closed> { device.syncOnce() }
    device.destroy(); device.destroy()
    refused<IllegalStateException> { device.pending() }
    refused<Refused.NoIdentity> { MotoMind.open(options(File(directory, "new"), null), null, null) }
    refused<Refused.Host> { MotoMind.open(options(File("/proc/no/where")), null, null) }
    refused<Refused.Malformed> { MotoMind.open(options(File(directory, "bad")).copy(identity = Identity("x", "y")), null, null) }
}

private suspend fun hooksThatFail(directory: File) {
    val tokens = object : TokenProvider {
        override fun token(): String? = throw IllegalStateException("no account")
    }
    val clock = object : DeviceClock {
        override fun read(): ClockReading = throw IllegalArgumentException("no clock")
    }
    val device = MotoMind.open(options(directory), tokens, clock)
    expect(device.syncOnce() == RoundEnd.Stopped(Blocked.NEEDS_TOKEN)) { "syncing without a token" }
    device.capture(damage(device.vehicleOf("Truck"), "x"))
    val changing = object : TokenProvider {
        var asked = 0
        override fun token(): String? = if (asked++ == 0) "no token at all" else World.token(0)
    }
    device.use { it.shut() }
    val again = MotoMind.open(options(directory), changing, null)
    expect(again.syncOnce() == RoundEnd.CaughtUp) { "the second token was not asked for" }
    expect(changing.asked == 2) { "asked ${changing.asked} times" }
    again.setServer("not a url")
    expect(again.syncOnce() is RoundEnd.Later) { "an address that is none" }
    again.use { it.shut() }
}

fun Checks.badInput() {
    fun with(name: String, act: suspend (MotoMind, File) -> Unit) = check(name) { directory ->
        MotoMind.use(options(directory)) { act(it, directory) }
    }
    with("texts that are not what they must be") { device, _ -> wrongTexts(device) }
    with("what is unknown") { device, _ -> unknownThings(device) }
    with("files that are not there, and no photos") { device, directory -> wrongFiles(device, directory) }
    with("nulls where none are allowed") { device, _ -> nulls(device) }
    check("handles that are closed, suspended or let go of") { closedHandles(it) }
    check("hooks that fail") { hooksThatFail(it) }
}
