package dev.motomind.sync.android

import android.content.Context
import androidx.work.Constraints
import androidx.work.CoroutineWorker
import androidx.work.ExistingWorkPolicy
import androidx.work.NetworkType
import androidx.work.OneTimeWorkRequestBuilder
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import androidx.work.workDataOf
import dev.motomind.sync.*
import java.io.File
import java.net.HttpURLConnection
import java.net.URL
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

private const val PLAN = "plan"
private const val RETRIES_MAX = 8

/**
 * Hands the originals that wait to WorkManager, which sends them when the network is unmetered,
 * whether the app runs or not. Call after a sync, with `originalsByHost` in the transfer policy.
 */
suspend fun MotoMind.handOver(context: Context) {
    val folder = File(context.filesDir, "motomind-uploads").apply { mkdirs() }
    for (plan in uploadPlans()) {
        val name = "${plan.photo}.${plan.variant.name}"
        val body = File(folder, "$name.body")
        if (File(folder, "$name.done").exists()) continue
        writeUpload(plan.sha256, plan.offset, Sink.Path(body.path))
        val work = OneTimeWorkRequestBuilder<UploadWorker>()
            .setConstraints(Constraints.Builder().setRequiredNetworkType(NetworkType.UNMETERED).build())
            .setInputData(workDataOf(
                PLAN to body.path, "url" to plan.url, "method" to plan.method,
                "names" to plan.headers.keys.toTypedArray(), "values" to plan.headers.values.toTypedArray(),
            ))
            .build()
        WorkManager.getInstance(context).enqueueUniqueWork(name, ExistingWorkPolicy.KEEP, work)
    }
}

/** Tells the device what WorkManager has sent meanwhile. Call once it is open. */
suspend fun MotoMind.takeBack(context: Context) {
    val folder = File(context.filesDir, "motomind-uploads")
    for (plan in uploadPlans()) {
        val name = "${plan.photo}.${plan.variant.name}"
        val outcome = File(folder, "$name.done").takeIf(File::exists) ?: continue
        if (outcome.readText() == "204") uploadFinished(plan.photo, plan.variant)
        else uploadFailed(plan.photo, plan.variant, "HTTP ${outcome.readText()}")
        outcome.delete()
        File(folder, "$name.body").delete()
    }
}

/** Sends one plan. Needs neither the device nor a token: the plan has all that it takes. */
class UploadWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    override suspend fun doWork(): Result = withContext(Dispatchers.IO) {
        val body = File(inputData.getString(PLAN) ?: return@withContext Result.failure())
        val status = runCatching { send(body) }.getOrNull()
        when {
            status == null && runAttemptCount < RETRIES_MAX -> Result.retry()
            else -> {
                File(body.path.removeSuffix("body") + "done").writeText("${status ?: "none"}")
                Result.success()
            }
        }
    }

    private fun send(body: File): Int {
        val connection = URL(inputData.getString("url")).openConnection() as HttpURLConnection
        try {
            connection.requestMethod = inputData.getString("method")
            connection.doOutput = true
            connection.setFixedLengthStreamingMode(body.length())
            val values = inputData.getStringArray("values").orEmpty()
            inputData.getStringArray("names").orEmpty().forEachIndexed { at, name ->
                connection.setRequestProperty(name, values[at])
            }
            connection.outputStream.use { out -> body.inputStream().use { it.copyTo(out) } }
            return connection.responseCode
        } finally {
            connection.disconnect()
        }
    }
}
