package checks

import dev.motomind.sync.*
import java.io.File
import kotlinx.serialization.json.*

private suspend fun MotoMind.caughtUp() {
    val end = syncOnce()
    expect(end == RoundEnd.CaughtUp) { "$end" }
}

private fun nickname(name: String) = buildJsonObject { put("nickname", name) }.toString()

/** Two people rename one car with no signal: both names stay until one decides. */
private suspend fun conflict(directory: File) {
    val ana = opened(File(directory, "ana"), 0)
    val ben = opened(File(directory, "ben"), 1)
    val car = RecordRef("vehicles", ana.vehicleOf("Red"))
    ana.caughtUp()
    ben.caughtUp()
    ana.edit(car, nickname("Big Red"))
    ben.edit(car, nickname("Old Red"))
    for (device in listOf(ana, ben, ana)) device.caughtUp()
    for (device in listOf(ana, ben)) {
        val conflict = device.conflicts().single { it.record == car }.conflict
        val values = conflict.values.map { it.value }.toSet()
        expect(conflict.field == "nickname" && values == setOf("\"Big Red\"", "\"Old Red\"")) { "$conflict" }
    }
    ben.resolve(car, "nickname", "\"Big Red\"")
    for (device in listOf(ben, ana)) device.caughtUp()
    for (device in listOf(ana, ben)) {
        expect(device.conflicts().none { it.record == car }) { "the conflict is still there" }
        expect(device.vehicle(car.id)!!.name == "Big Red") { "another name" }
    }
    val history = ana.history(car)
    expect(history.size == 4) { "$history" }
    listOf(ana, ben).forEach { device -> device.use { it.shut() } }
}

/** Two people on one phone: each has a directory, and neither sends the other's captures. */
private suspend fun onePhone(directory: File) {
    val ana = MotoMind.open(options(File(directory, "ana"), 0), null, null)
    val vehicle = ana.vehicleOf("Truck")
    val event = ana.capture(damage(vehicle, "Ana's")).opId
    expect(ana.setToken(World.token(1)) == Blocked.WRONG_IDENTITY) { "another's token was taken" }
    expect(ana.syncOnce() == RoundEnd.Stopped(Blocked.WRONG_IDENTITY)) { "synced as another" }
    ana.use { it.shut() }
    refused<MotoMindException.WrongIdentity> { MotoMind.open(options(File(directory, "ana"), 1), null, null) }
    val ben = opened(File(directory, "ben"), 1)
    ben.caughtUp()
    expect(ben.operation(event) == null && ben.all(vehicle).isEmpty()) { "Ben sent or sees what is Ana's" }
    val again = opened(File(directory, "ana"), 0)
    expect(again.pending().size == 2) { "Ana's captures are gone" }
    again.caughtUp()
    ben.caughtUp()
    expect(ben.all(vehicle).single().eventId == event) { "Ana's capture did not arrive" }
    listOf(again, ben).forEach { device -> device.use { it.shut() } }
}

private suspend fun corrected(directory: File) {
    val ana = opened(File(directory, "ana"), 0)
    val ben = opened(File(directory, "ben"), 1)
    val vehicle = ana.vehicleOf("Truck")
    val fix = Fix(latitude = 39.74, longitude = -104.99, accuracyM = 80.0, source = FixSource.Gps)
    val event = ana.capture(damage(vehicle, "x").copy(fix = fix)).opId
    ana.caughtUp()
    ana.correctLocation(event, LocationSaid(39.7401, -104.99, CorrectionMethod.MapPin, "the yard"))
    ana.caughtUp()
    ben.caughtUp()
    val place = ben.place(event)!!
    expect(place.place?.address == "the yard" && place.measured?.accuracyM == 80.0) { "$place" }
    // Another's event is a manager's to take back: the refusal stays, and is given up.
    ben.retract(event, "entered twice")
    expect(ben.all(vehicle).isEmpty()) { "it is still shown" }
    ben.caughtUp()
    val refused = ben.pending().single()
    expect(refused.state == OpState.REJECTED && refused.reason?.code == "forbidden") { "$refused" }
    ben.discard(refused.opId, "not mine to take back")
    ben.caughtUp()
    expect(ben.all(vehicle).single().eventId == event) { "it did not come back" }
    expect(recordOf(ben.all(vehicle).single()).event.fix == fix) { "the measured truth was lost" }
    ana.compareCustody()
    ana.caughtUp()
    val custody = ana.custody()
    expect(custody != null && custody.offeredAgain.isEmpty()) { "$custody" }
    listOf(ana, ben).forEach { device -> device.use { it.shut() } }
}

/** A journal as the first version made it, with what was captured then. */
private suspend fun upgraded(directory: File) {
    val root = System.getenv("FFI_ROOT") ?: error("FFI_ROOT is not set; run scripts/ffi")
    fun python(vararg arguments: String) =
        expect(ProcessBuilder("python3", "$root/ffi/python/tests/first_version.py", *arguments).inheritIO().start().waitFor() == 0) {
            "the journal could not be made an old one"
        }
    val device = opened(directory)
    val vehicle = newOperationId()
    val events = List(5) { device.capture(damage(vehicle, "$it")).opId }
    device.use { it.shut() }
    python(directory.path)
    val later = opened(directory)
    expect(later.pending().map { it.opId } == events) { "captures were lost" }
    expect(later.all(vehicle).map { it.eventId }.toSet() == events.toSet()) { "captures are not shown" }
    expect(later.verify() == null) { "the chain broke" }
    // The vehicle is nobody's: the server refuses, and says so, one by one.
    later.caughtUp()
    expect(later.pending().all { it.state == OpState.REJECTED }) { "not refused" }
    later.use { it.shut() }
    python(directory.path, "99")
    refused<MotoMindException.NewerSchema> { opened(directory) }
}

fun Checks.people() {
    check("a conflict is seen by both and decided by one") { conflict(it) }
    check("two people on one phone") { onePhone(it) }
    check("an upgrade with pending captures") { upgraded(it) }
    check("a correction, and a retraction that is refused") { corrected(it) }
}
