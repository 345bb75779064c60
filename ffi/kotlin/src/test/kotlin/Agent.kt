/**
 * A device that takes one JSON command per line and answers each with one line: the Kotlin agent of
 * the behaviour scenarios. tests/scenarios/README.md describes the commands.
 */
package agent

import dev.motomind.sync.*
import java.io.File
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.*

private class CommandClock : DeviceClock {
    @Volatile var now = 0L
    override fun read() = ClockReading(now, null, null)
}

private fun JsonElement?.orNull() = this?.takeIf { it !is JsonNull }
private fun JsonObject.text(key: String) = this[key].orNull()?.jsonPrimitive?.content
private fun JsonObject.long(key: String) = this[key].orNull()?.jsonPrimitive?.long
private fun JsonObject.double(key: String) = this[key].orNull()?.jsonPrimitive?.double
private fun JsonObject.flag(key: String) = this[key].orNull()?.jsonPrimitive?.boolean
private fun JsonObject.rest(known: Set<String>) =
    JsonObject(filter { it.key !in known && it.value !is JsonNull }).toString()

private val FIX = setOf("latitude", "longitude", "accuracy_m", "altitude_m", "altitude_accuracy_m",
    "heading_deg", "speed_mps", "fixed_at", "source", "is_mock", "age_ms")
private val CAPTURE = setOf("op_id", "vehicle_id", "type", "occurred_at", "date", "timezone", "miles",
    "total_minor", "currency", "vendor", "notes", "payload", "fix", "fix_absent", "photo_fix",
    "session_id", "corrects", "reason")

private fun source(name: String): FixSource = when (name) {
    "gps" -> FixSource.Gps
    "network" -> FixSource.Network
    "fused" -> FixSource.Fused
    "exif" -> FixSource.Exif
    "manual" -> FixSource.Manual
    "vision" -> FixSource.Vision
    "cached" -> FixSource.Cached
    else -> FixSource.Other(name)
}

private fun absence(name: String): FixAbsence = when (name) {
    "permission_denied" -> FixAbsence.PermissionDenied
    "position_unavailable" -> FixAbsence.PositionUnavailable
    "timeout" -> FixAbsence.Timeout
    "not_supported" -> FixAbsence.NotSupported
    else -> FixAbsence.Other(name)
}

private fun fix(given: JsonObject?) = given?.run {
    Fix(
        latitude = double("latitude")!!, longitude = double("longitude")!!,
        accuracyM = double("accuracy_m"), altitudeM = double("altitude_m"),
        altitudeAccuracyM = double("altitude_accuracy_m"), headingDeg = double("heading_deg"),
        speedMps = double("speed_mps"), fixedAt = long("fixed_at"), source = source(text("source")!!),
        isMock = flag("is_mock"), ageMs = long("age_ms"), extra = rest(FIX),
    )
}

private fun capture(given: JsonObject) = given.run {
    Capture(
        opId = text("op_id"), vehicleId = text("vehicle_id")!!, kind = text("type")!!,
        occurredAt = long("occurred_at")!!, date = text("date")!!, timezone = text("timezone")!!,
        miles = long("miles"), totalMinor = long("total_minor"), currency = text("currency"),
        vendor = text("vendor"), notes = text("notes"),
        payload = this["payload"].orNull()?.toString() ?: "{}",
        fix = fix(this["fix"].orNull()?.jsonObject), photoFix = fix(this["photo_fix"].orNull()?.jsonObject),
        fixAbsent = text("fix_absent")?.let(::absence), sessionId = text("session_id"),
        corrects = text("corrects"), reason = text("reason"), extra = rest(CAPTURE),
    )
}

private fun word(value: Enum<*>) = JsonPrimitive(value.name.lowercase())

/** A name of ours as on the wire. */
private fun wire(name: String) =
    if (name == "kind") "type" else name.replace(Regex("[A-Z]")) { "_" + it.value.lowercase() }

/** A record of the border as JSON, in the names of the wire. */
private fun plain(value: Any?): JsonElement = when (value) {
    null -> JsonNull
    is String -> JsonPrimitive(value)
    is Boolean -> JsonPrimitive(value)
    is ULong -> JsonPrimitive(value.toLong())
    is UInt -> JsonPrimitive(value.toLong())
    is Number -> JsonPrimitive(value)
    is Enum<*> -> word(value)
    is List<*> -> JsonArray(value.map(::plain))
    else -> JsonObject(fields(value).mapValues { plain(it.value) })
}

private fun fields(record: Any): Map<String, Any?> {
    val getters = record.javaClass.methods.filter {
        it.parameterCount == 0 && it.declaringClass == record.javaClass && it.name.startsWith("get") &&
            !java.lang.reflect.Modifier.isStatic(it.modifiers)
    }
    return getters.associate { getter ->
        val name = getter.name.removePrefix("get").substringBefore('-').replaceFirstChar { it.lowercase() }
        wire(name) to unsigned(getter.invoke(record))
    }
}

private fun unsigned(value: Any?) = value

private fun shown(entry: TimelineEntry) = buildJsonObject {
    fields(entry).forEach { (name, value) -> put(name, plain(value)) }
    put("hidden", entry.hidden)
    put("record", Json.parseToJsonElement(entry.recordJson))
}

private fun codeOf(error: MotoMindException) = when (error) {
    is MotoMindException.AlreadyOpen -> "already_open"
    is MotoMindException.WrongIdentity -> "wrong_identity"
    is MotoMindException.NoIdentity -> "no_identity"
    is MotoMindException.WrongKey -> "wrong_key"
    is MotoMindException.NewerSchema -> "newer_schema"
    is MotoMindException.JournalDamaged -> "journal_damaged"
    is MotoMindException.Invalid -> "invalid"
    is MotoMindException.ConfirmJump -> "confirm_jump"
    is MotoMindException.IdReused -> "id_reused"
    is MotoMindException.TooLarge -> "too_large"
    is MotoMindException.Unknown -> "unknown_" + error.thing.name.lowercase()
    is MotoMindException.TooLate -> when (error.why) {
        Obstacle.ACCEPTED -> "already_accepted"
        Obstacle.NOT_REFUSED -> "not_refused"
        Obstacle.SUPERSEDED -> "already_superseded"
    }
    else -> "storage"
}

private class Agent {
    private val clock = CommandClock()
    private var device: MotoMind? = null

    suspend fun answer(line: String): JsonElement {
        val command = Json.parseToJsonElement(line).jsonObject
        clock.now = command.long("now") ?: 0
        return try {
            buildJsonObject { put("ok", does(command)) }
        } catch (error: MotoMindException) {
            val fields = (error as? MotoMindException.Invalid)?.fields
            buildJsonObject {
                putJsonObject("error") {
                    put("code", codeOf(error))
                    put("message", error.message)
                    if (fields != null) put("fields", plain(fields))
                }
            }
        }
    }

    private suspend fun open(command: JsonObject): JsonElement {
        val who = command["identity"].orNull()?.jsonObject
        val identity = who?.let { Identity(it.text("tenant_id")!!, it.text("user_id")!!) }
        val opened = MotoMind.open(Options(command.text("directory")!!, identity), null, clock)
        device = opened
        return buildJsonObject {
            put("device_id", opened.identity().deviceId)
            put("incarnation", opened.identity().incarnation)
        }
    }

    private suspend fun close(): JsonElement {
        device?.use { it.shut() }
        device = null
        return JsonNull
    }

    private fun copy(from: File, to: File): JsonElement {
        from.listFiles()?.forEach { it.copyTo(File(to, it.name), overwrite = true) }
        return JsonNull
    }

    private suspend fun does(command: JsonObject): JsonElement = when (val what = command.text("cmd")) {
        "open" -> open(command)
        "close" -> close()
        "copy" -> copy(File(command.text("from")!!), File(command.text("to")!!))
        else -> device!!.does(what, command)
    }

    private suspend fun MotoMind.does(what: String?, command: JsonObject): JsonElement = when (what) {
        "token" -> buildJsonObject { put("blocked", plain(setToken(command.text("token")))) }
        "capture" -> plain(capture(capture(command["capture"]!!.jsonObject)))
        "amend" -> plain(amend(command.text("op_id")!!, capture(command["capture"]!!.jsonObject)))
        "discard" -> plain(discard(command.text("op_id")!!, command.text("reason")!!))
        "retry" -> retry(command.text("op_id")!!).let { JsonNull }
        "import" -> plain(importFuelio(Source.Path(command.text("file")!!), command.text("vehicle")!!,
            command.text("timezone")!!, PlatformZone(command.text("timezone")!!), command.text("currency")))
        "sync" -> sync(command.text("url")!!)
        "pending" -> plain(pending())
        "timeline" -> JsonArray(timeline(Page(vehicle = command.text("vehicle"), limit = 500u,
            includeHidden = command.flag("hidden")!!)).entries.map(::shown))
        "vehicle" -> plain(vehicle(command.text("vehicle")!!))
        "status" -> plain(status())
        "export" -> export(command.flag("everything")!!)
        "verify" -> buildJsonObject { put("broken", verify()?.toString()) }
        else -> error("no such command: $what")
    }

    private suspend fun MotoMind.sync(url: String): JsonElement {
        setServer(url)
        return buildJsonObject {
            when (val end = syncOnce()) {
                is RoundEnd.CaughtUp -> put("end", "caught_up")
                is RoundEnd.Later -> { put("end", "later"); put("wait_ms", end.at - clock.now) }
                is RoundEnd.Stopped -> { put("end", "blocked"); put("blocked", word(end.why)) }
            }
        }
    }

    private suspend fun MotoMind.export(everything: Boolean): JsonElement {
        val file = File.createTempFile("export", ".jsonl")
        try {
            export(Sink.Path(file.path), everything)
            return buildJsonObject { put("text", file.readText()) }
        } finally {
            file.delete()
        }
    }
}

fun main() = runBlocking {
    val agent = Agent()
    for (line in generateSequence(::readlnOrNull)) {
        println(agent.answer(line))
    }
}
