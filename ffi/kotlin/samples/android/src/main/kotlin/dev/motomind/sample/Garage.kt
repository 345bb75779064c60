package dev.motomind.sample

import android.app.Application
import android.location.Location
import android.net.Uri
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.motomind.sync.*
import dev.motomind.sync.android.AndroidClock
import dev.motomind.sync.android.addPhoto
import dev.motomind.sync.android.followNetwork
import java.io.File
import java.time.LocalDate
import java.time.ZoneId
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.launchIn
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import org.json.JSONObject

/** Who is signed in. An app asks its own account here; the token may come from the network. */
object Account : TokenProvider {
    const val SERVER = "https://sync.example.com"
    val identity = Identity("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002")
    override fun token(): String? = null
}

/** The one device of whoever is signed in, and what the screen shows of it. */
class Garage(application: Application) : AndroidViewModel(application) {
    val vehicles = MutableStateFlow(emptyList<VehicleEntry>())
    val pending = MutableStateFlow(0uL)
    val problem = MutableStateFlow<String?>(null)
    private var device: MotoMind? = null

    init {
        viewModelScope.launch {
            val home = File(application.filesDir, "motomind/${Account.identity.userId}")
            val opened = MotoMind.open(Options(home.path, Account.identity, server = Account.SERVER), Account, AndroidClock(application))
            device = opened
            opened.followNetwork(application, viewModelScope)
            opened.startSync()
            opened.watch("events", "vehicles", "pending") { vehicles() }.onEach { vehicles.value = it }.launchIn(viewModelScope)
            opened.statuses().onEach { pending.value = it.unsent + it.picturesUnsent }.launchIn(viewModelScope)
        }
    }

    /** Damage with a photo and a position: durable when the call returns, with or without a signal. */
    fun report(vehicle: VehicleEntry, words: String, photo: Uri?, at: Location?) = viewModelScope.launch {
        val device = device ?: return@launch
        val zone = ZoneId.systemDefault()
        try {
            val captured = device.capture(Capture(
                vehicleId = vehicle.vehicle.id, kind = "damage", occurredAt = System.currentTimeMillis(),
                date = LocalDate.now(zone).toString(), timezone = zone.id,
                payload = JSONObject().put("description", words).toString(),
                fix = at?.let { Fix(it.latitude, it.longitude, accuracyM = it.accuracy.toDouble(), source = FixSource.Fused) },
            ))
            if (photo != null) device.addPhoto(getApplication(), PhotoTarget.Event(captured.opId), photo)
        } catch (error: MotoMindException.Invalid) {
            problem.value = error.fields.joinToString("\n") { "${it.field}: ${it.message}" }
        } catch (error: MotoMindException) {
            problem.value = error.message
        }
    }

    override fun onCleared() {
        device?.destroy()
    }
}
