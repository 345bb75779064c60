package checks

import dev.motomind.sync.*
import java.io.File
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.*

/** Where the server is and who works there; scripts/ffi starts it and says so. */
object World {
    private val told = Json.parseToJsonElement(System.getenv("FFI_WORLD")).jsonObject
    val url = told["url"]!!.jsonPrimitive.content
    private val tenant = told["tenant"]!!.jsonPrimitive.content
    private val people = told["people"]!!.jsonArray.map { it.jsonObject }

    fun identity(person: Int) = Identity(tenant, people[person]["user"]!!.jsonPrimitive.content)
    fun token(person: Int) = people[person]["token"]!!.jsonPrimitive.content
}

/** What a check found wrong. */
class Wrong(what: String) : Exception(what)

fun expect(holds: Boolean, what: () -> String) {
    if (!holds) throw Wrong(what())
}

/** The failure that a call must end with. */
inline fun <reified T : Throwable> refused(call: () -> Unit): T {
    try {
        call()
    } catch (error: Throwable) {
        return error as? T ?: throw Wrong("${error.javaClass.name} instead of ${T::class.java.name}: $error")
    }
    throw Wrong("no ${T::class.java.name}")
}

/** Runs checks one after the other and counts them. */
class Checks(private val chosen: List<String>) {
    private var passed = 0
    private var failed = 0

    fun check(name: String, holds: suspend (File) -> Unit) {
        if (chosen.isNotEmpty() && chosen.none { it in name }) return
        val directory = kotlin.io.path.createTempDirectory("motomind-").toFile()
        try {
            runBlocking { withTimeout(10.minutes) { holds(directory) } }
            passed += 1
            println("ok - $name")
        } catch (error: Throwable) {
            failed += 1
            println("not ok - $name")
            error.printStackTrace(System.out)
        } finally {
            directory.deleteRecursively()
        }
    }

    fun summary(): Int {
        println("$passed passed, $failed failed")
        return if (failed == 0) 0 else 1
    }
}

fun options(directory: File, person: Int? = 0) =
    Options(directory.path, person?.let(World::identity), server = World.url)

/** A device that can sync. */
suspend fun opened(directory: File, person: Int = 0): MotoMind {
    val device = MotoMind.open(options(directory, person), null, null)
    device.setToken(World.token(person))
    return device
}

const val NOON = 1_772_366_400_000

fun damage(vehicle: VehicleId, notes: String, opId: OpId? = null) = Capture(
    opId = opId, vehicleId = vehicle, kind = "damage", occurredAt = NOON, date = "2026-03-01",
    timezone = "America/Denver", notes = notes, payload = """{"description":"a scratch"}""",
)

/** A vehicle of this device's own making. */
suspend fun MotoMind.vehicleOf(name: String): VehicleId =
    create("vehicles", buildJsonObject { put("nickname", name) }.toString()).record.id

suspend fun MotoMind.all(vehicle: VehicleId): List<TimelineEntry> {
    val entries = mutableListOf<TimelineEntry>()
    var before: PageKey? = null
    do {
        val page = timeline(Page(vehicle = vehicle, before = before, limit = 500u))
        entries += page.entries
        before = page.next
    } while (before != null)
    return entries
}

/** A JPEG of about so many bytes, of this process's own making. */
fun picture(bytes: Int): ByteArray {
    val image = java.awt.image.BufferedImage(64, 48, java.awt.image.BufferedImage.TYPE_INT_RGB)
    image.createGraphics().apply { color = java.awt.Color.ORANGE; fillRect(8, 8, 40, 30) }
    val jpeg = java.io.ByteArrayOutputStream().also { javax.imageio.ImageIO.write(image, "jpeg", it) }.toByteArray()
    // A comment segment holds at most 65,533 bytes; what follows the end of the image is kept too.
    return jpeg + java.util.Random(bytes.toLong()).let { random -> ByteArray(maxOf(0, bytes - jpeg.size)).also(random::nextBytes) }
}
