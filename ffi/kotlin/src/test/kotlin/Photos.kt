package checks

import com.sun.jna.Function
import dev.motomind.sync.*
import java.io.File

private fun libc(name: String, vararg arguments: Any) = Function.getFunction("c", name).invokeInt(arguments)

private suspend fun threeWays(device: MotoMind, directory: File) {
    val bytes = picture(2_000_000)
    val file = File(directory, "photo.jpg").apply { writeBytes(bytes) }
    val vehicle = device.vehicleOf("Truck")
    val sources = mutableListOf(Source.Path(file.path), Source.Bytes(bytes))
    val fd = libc("open", file.path, 0)
    sources += Source.Descriptor(fd)
    val hashes = sources.map { source ->
        val given = GivenPhoto(source, PhotoMeta(mime = "image/jpeg", caption = "the dent"))
        val event = device.captureWithPhotos(damage(vehicle, "with a photo"), listOf(given)).opId
        val shown = device.photos(event).single()
        expect(shown.caption == "the dent" && shown.original.here) { "$shown" }
        expect(shown.preview.here) { "no preview was made" }
        shown.photo
    }
    expect(libc("close", fd) == 0) { "the descriptor was not left to its owner" }
    val sha256 = java.security.MessageDigest.getInstance("SHA-256").digest(bytes)
        .joinToString("") { "%02x".format(it) }
    expect(hashes.all { it == sha256 }) { "$hashes instead of $sha256" }
    val back = File(directory, "back.jpg")
    expect(device.savePhoto(sha256, Variant.ORIGINAL, Sink.Path(back.path)) == bytes.size.toULong()) { "its size" }
    expect(back.readBytes().contentEquals(bytes)) { "other bytes came back" }
    val piece = device.readPhoto(sha256, Variant.ORIGINAL, 1_000u, 10u)!!
    expect(piece.bytes.contentEquals(bytes.sliceArray(1_000 until 1_010))) { "another piece came back" }
    expect(device.verifyPhotos().isEmpty()) { "altered" }
}

private suspend fun guided(device: MotoMind) {
    val vehicle = device.vehicleOf("Truck")
    val session = device.beginSession(vehicle, "fuel", Path.Guided)
    val capture = damage(vehicle, "").copy(kind = "fuel", notes = null, payload = """{"gallons":12.5}""")
    val missing = refused<MotoMindException.StepsMissing> { device.completeSession(session.id, capture) }
    expect("receipt" in missing.steps) { "${missing.steps}" }
    // As a camera would: piece by piece, from a stream.
    val photo = device.beginPhoto(PhotoTarget.Session(session.id, "receipt"), PhotoMeta())
    picture(300_000).asSequence().chunked(100_000).forEach { device.writePhoto(photo, it.toByteArray()) }
    val added = device.finishPhoto(photo, null)
    expect(added.preview is Preview.Made) { "${added.preview}" }
    val event = device.completeSession(session.id, capture).opId
    expect(device.photos(event).single().photo == added.facts.sha256) { "the photo is not on the event" }
    expect(device.sessions().isEmpty()) { "the session is still there" }
}

/** A photo as large as any, by its path: its bytes never stand in this process's memory as a whole. */
private suspend fun large(device: MotoMind, directory: File) {
    val file = File(directory, "large.jpg")
    file.outputStream().use { out ->
        out.write(picture(1_000_000))
        val more = ByteArray(1_000_000).also(java.util.Random(7)::nextBytes)
        repeat(59) { out.write(more) }
    }
    val event = device.capture(damage(device.vehicleOf("Truck"), "x")).opId
    System.gc()
    File("/proc/self/clear_refs").writeText("5") // the peak begins anew
    val before = peakKiB()
    device.addPhoto(PhotoTarget.Event(event), GivenPhoto(Source.Path(file.path), PhotoMeta()))
    val grown = (peakKiB() - before) / 1024
    println("# ${file.length() / 1_000_000} MB by its path: peak memory grew by $grown MiB")
    expect(grown < 30) { "peak memory grew by $grown MiB" }
}

private fun peakKiB() = File("/proc/self/status").readLines().first { it.startsWith("VmHWM:") }
    .filter(Char::isDigit).toLong()

fun Checks.photos() {
    fun with(name: String, act: suspend (MotoMind, File) -> Unit) = check(name) { directory ->
        MotoMind.use(options(directory)) { act(it, directory) }
    }
    with("a photo from a path, a descriptor and bytes") { device, directory -> threeWays(device, directory) }
    with("a guided session, a photo in pieces") { device, _ -> guided(device) }
    with("a photo of 60 MB by its path") { device, directory -> large(device, directory) }
}
