package dev.motomind.sample

import android.Manifest
import android.annotation.SuppressLint
import android.location.LocationManager
import android.net.Uri
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.compose.setContent
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.activity.result.contract.ActivityResultContracts.RequestMultiplePermissions
import androidx.activity.viewModels
import androidx.compose.foundation.clickable
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.material3.*
import androidx.compose.runtime.*
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import dev.motomind.sync.VehicleEntry

class MainActivity : ComponentActivity() {
    private val garage: Garage by viewModels()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContent { MaterialTheme { Vehicles(garage, ::lastLocation) } }
    }

    @SuppressLint("MissingPermission") // without it there is no location, and the capture says so
    private fun lastLocation() = runCatching {
        getSystemService(LocationManager::class.java).getLastKnownLocation(LocationManager.GPS_PROVIDER)
    }.getOrNull()
}

@OptIn(ExperimentalMaterial3Api::class)
@Composable
private fun Vehicles(garage: Garage, location: () -> android.location.Location?) {
    val vehicles by garage.vehicles.collectAsStateWithLifecycle()
    val pending by garage.pending.collectAsStateWithLifecycle()
    val problem by garage.problem.collectAsStateWithLifecycle()
    var reporting by remember { mutableStateOf<VehicleEntry?>(null) }
    val ask = rememberLauncherForActivityResult(RequestMultiplePermissions()) {}
    LaunchedEffect(Unit) { ask.launch(arrayOf(Manifest.permission.ACCESS_FINE_LOCATION)) }

    Scaffold(topBar = {
        TopAppBar(title = { Text("Vehicles") }, actions = {
            BadgedBox(badge = { if (pending > 0u) Badge { Text("$pending") } }) { Text(if (pending > 0u) "pending" else "all sent") }
        })
    }) { space ->
        Column(Modifier.padding(space)) {
            problem?.let { Text(it, color = MaterialTheme.colorScheme.error, modifier = Modifier.padding(16.dp)) }
            LazyColumn {
                items(vehicles, key = { it.vehicle.id }) { entry ->
                    ListItem(
                        headlineContent = { Text(entry.name) },
                        supportingContent = { Text(entry.miles?.let { "$it mi" } ?: "–") },
                        modifier = Modifier.clickable { reporting = entry },
                    )
                }
            }
        }
    }
    reporting?.let { entry ->
        Report(entry, onSave = { words, photo -> garage.report(entry, words, photo, location()); reporting = null }) { reporting = null }
    }
}

@Composable
private fun Report(entry: VehicleEntry, onSave: (String, Uri?) -> Unit, onDismiss: () -> Unit) {
    var words by remember { mutableStateOf("") }
    var photo by remember { mutableStateOf<Uri?>(null) }
    val pick = rememberLauncherForActivityResult(PickVisualMedia()) { photo = it }
    AlertDialog(
        onDismissRequest = onDismiss,
        title = { Text(entry.name) },
        text = {
            Column {
                TextField(words, { words = it }, label = { Text("What is damaged?") })
                TextButton(onClick = { pick.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly)) }) {
                    Text(if (photo == null) "Add a photo" else "Photo chosen")
                }
            }
        },
        confirmButton = { TextButton(onClick = { onSave(words, photo) }) { Text("Save") } },
    )
}
