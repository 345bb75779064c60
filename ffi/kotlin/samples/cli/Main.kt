/**
 * A technician's day on the command line: everything an app needs, in one screen of Kotlin.
 *
 *     sample DIRECTORY        with FFI_WORLD telling server and person; scripts/ffi sample runs it
 */
package sample

import dev.motomind.sync.*
import java.io.File
import java.time.Instant
import java.time.LocalDate
import java.time.ZoneId
import kotlin.system.exitProcess
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.*

private val world = Json.parseToJsonElement(System.getenv("FFI_WORLD") ?: "{}").jsonObject
private val person = world["people"]!!.jsonArray[2].jsonObject

/** An app would ask its account for a fresh one. */
private object Account : TokenProvider {
    override fun token() = person["token"]!!.jsonPrimitive.content
}

fun main(arguments: Array<String>): Unit = runBlocking {
    val me = Identity(world["tenant"]!!.jsonPrimitive.content, person["user"]!!.jsonPrimitive.content)
    val options = Options(arguments[0], me, server = world["url"]!!.jsonPrimitive.content)
    MotoMind.use(options, Account) { device ->
        val badge = launch { device.statuses().collect { println("  pending: ${it.unsent}, pictures: ${it.picturesUnsent}") } }

        println("A truck is registered and damage captured, with a photo and a position:")
        val truck = device.create("vehicles", """{"nickname":"Sample truck","year":2021}""").record.id
        val now = Instant.now()
        val captured = device.captureWithPhotos(
            Capture(
                vehicleId = truck, kind = "damage", occurredAt = now.toEpochMilli(),
                date = LocalDate.ofInstant(now, ZoneId.systemDefault()).toString(), timezone = ZoneId.systemDefault().id,
                payload = """{"description":"a dent","severity":"minor"}""",
                fix = Fix(latitude = 39.7392, longitude = -104.9903, accuracyM = 12.0, source = FixSource.Gps),
            ),
            listOf(GivenPhoto(Source.Path(photo(arguments[0])), PhotoMeta(caption = "the dent"))),
        )
        device.timeline(Page(vehicle = truck)).entries.forEach {
            println("  ${it.date} ${it.kind}, ${it.photos} photo, at ${it.place?.latitude}, ${it.place?.longitude}: ${it.state}")
        }

        println("Syncing in the background:")
        device.startSync()
        device.watch("events", "pending", "status", "photos") { status() to operation(captured.opId) }
            .first { (status, operation) -> status.unsent + status.picturesUnsent == 0uL && operation?.state == OpState.ACCEPTED }
        device.stopSync()
        badge.cancel()
        println("Everything is on the server.")
    }
    exitProcess(0)
}

private fun photo(directory: String): String {
    val image = java.awt.image.BufferedImage(320, 240, java.awt.image.BufferedImage.TYPE_INT_RGB)
    return File(directory, "dent.jpg").also { it.parentFile.mkdirs(); javax.imageio.ImageIO.write(image, "jpeg", it) }.path
}
