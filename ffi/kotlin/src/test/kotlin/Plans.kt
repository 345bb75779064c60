package checks

import dev.motomind.sync.*
import java.io.File
import kotlinx.coroutines.runBlocking

private val BY_HOST = TransferPolicy(previews = When.ALWAYS, originals = When.ALWAYS, fetchedPreviews = When.ALWAYS,
    meteredBudget = null, originalsByHost = true)

/** One plan as an app leaves it for its system: the request as curl takes it, and the body as a file. */
private suspend fun leave(device: MotoMind, plan: UploadPlan, into: File, bytes: Int = Int.MAX_VALUE) {
    val body = File(into, "${plan.sha256}.body")
    device.writeUpload(plan.sha256, plan.offset, Sink.Path(body.path))
    if (body.length() > bytes) java.io.RandomAccessFile(body, "rw").use { it.setLength(bytes.toLong()) }
    File(into, "${plan.sha256}.curl").writeText(buildString {
        appendLine("url = \"${plan.url}\"")
        appendLine("request = \"${plan.method}\"")
        plan.headers.forEach { (name, value) -> appendLine("header = \"$name: $value\"") }
        appendLine("data-binary = \"@${body.path}\"")
        appendLine("silent\nfail\noutput = \"/dev/null\"")
    })
}

/** In a process of its own: captures, has the server make the uploads, leaves the plans, and dies. */
fun makePlansAndDie(directory: String, left: String) = runBlocking {
    val device = opened(File(directory))
    device.setTransferPolicy(BY_HOST)
    val given = listOf(1, 2).map { GivenPhoto(Source.Bytes(picture(400_000 + it)), PhotoMeta()) }
    device.captureWithPhotos(damage(device.vehicleOf("Truck"), "two photos"), given)
    while (device.uploadPlans().size < 2) device.syncOnce()
    val (whole, cut) = device.uploadPlans()
    leave(device, whole, File(left))
    leave(device, cut, File(left), bytes = 150_000)
    File(left, "cut").writeText(cut.sha256)
    Runtime.getRuntime().halt(9)
}

/** What the system's transfer service is to an app: a plain HTTP client, in a process of its own. */
private fun transferred(left: File, sha256: String): Boolean =
    ProcessBuilder("curl", "--config", File(left, "$sha256.curl").path).start().waitFor() == 0

private suspend fun byTheSystem(directory: File) {
    val left = File(directory, "left").apply { mkdir() }
    val app = File(directory, "app").path
    val program = System.getenv("FFI_JAVA") ?: error("FFI_JAVA is not set; run scripts/ffi")
    val died = ProcessBuilder(program, "checks.MainKt", "make-plans", app, left.path).inheritIO().start().waitFor()
    expect(died == 9) { "the app ended with $died" }
    val cut = File(left, "cut").readText()
    val all = left.listFiles()!!.filter { it.extension == "curl" }.map { it.nameWithoutExtension }
    expect(all.all { transferred(left, it) }) { "the system could not send" }

    val device = opened(File(app))
    for (plan in device.uploadPlans()) {
        if (plan.sha256 == cut) device.uploadFailed(plan.photo, plan.variant, "cut in its middle")
        else device.uploadFinished(plan.photo, plan.variant)
    }
    expect(device.syncOnce() == RoundEnd.CaughtUp) { "not caught up" }
    val rest = device.uploadPlans().single()
    expect(rest.sha256 == cut && rest.offset == 150_000uL) { "resumes at ${rest.offset}" }
    leave(device, rest, left)
    expect(transferred(left, cut)) { "the system could not send the rest" }
    device.uploadFinished(rest.photo, rest.variant)
    device.syncOnce()
    val originals = device.uploads().filter { it.variant == Variant.ORIGINAL }
    expect(originals.size == 2 && originals.all { it.state == UploadState.STORED }) { "$originals" }
    // Somebody else's device has the very bytes.
    MotoMind.use(options(File(directory, "other"), 1)) { other ->
        other.setToken(World.token(1))
        originals.forEach { other.fetchPhoto(it.photo, Variant.ORIGINAL) }
        while (other.syncOnce() is RoundEnd.Later) Unit
        val back = originals.map { other.readPhoto(it.photo, Variant.ORIGINAL, 0u, 1u) }
        expect(back.none { it == null }) { "the originals cannot be fetched" }
        expect(other.verifyPhotos().isEmpty()) { "altered" }
    }
    device.use { it.shut() }
}

fun Checks.plans() {
    check("uploads by the system while the app is dead, one of them cut") { byTheSystem(it) }
}
