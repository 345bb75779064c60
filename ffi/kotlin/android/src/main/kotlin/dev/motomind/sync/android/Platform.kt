package dev.motomind.sync.android

import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.net.NetworkCapabilities
import android.net.Uri
import android.os.SystemClock
import android.provider.Settings
import dev.motomind.sync.*
import java.util.UUID
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.launchIn
import kotlinx.coroutines.flow.onEach

/** The system's clocks: one that counts on while the phone sleeps, named by its boot. */
class AndroidClock(context: Context) : DeviceClock {
    private val boot: String = run {
        val count = Settings.Global.getInt(context.contentResolver, Settings.Global.BOOT_COUNT, -1)
        val phone = Settings.Secure.getString(context.contentResolver, Settings.Secure.ANDROID_ID)
        UUID.nameUUIDFromBytes("$phone/$count".toByteArray()).toString()
    }

    override fun read() = ClockReading(System.currentTimeMillis(), SystemClock.elapsedRealtime(), boot)
}

/** Tells a device of the network, for as long as the scope lives. */
fun MotoMind.followNetwork(context: Context, scope: CoroutineScope) {
    val connectivity = context.getSystemService(ConnectivityManager::class.java)
    callbackFlow {
        val callback = object : ConnectivityManager.NetworkCallback() {
            override fun onLost(network: Network) { trySend(false to false) }
            override fun onCapabilitiesChanged(network: Network, can: NetworkCapabilities) {
                trySend(true to !can.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED))
            }
        }
        connectivity.registerDefaultNetworkCallback(callback)
        awaitClose { connectivity.unregisterNetworkCallback(callback) }
    }.conflate().onEach { (reachable, metered) -> setNetwork(reachable, metered) }.launchIn(scope)
}

/**
 * Adds a photo that another app shares. It has no path: its bytes go from its descriptor into the
 * journal, never whole through memory.
 */
suspend fun MotoMind.addPhoto(context: Context, target: PhotoTarget, uri: Uri, meta: PhotoMeta = PhotoMeta()): PhotoAdded {
    val resolver = context.contentResolver
    val file = resolver.openFileDescriptor(uri, "r") ?: throw MotoMindException.Host("no such content")
    return file.use {
        val claimed = meta.copy(mime = meta.mime ?: resolver.getType(uri))
        addPhoto(target, GivenPhoto(Source.Descriptor(it.fd), claimed))
    }
}
