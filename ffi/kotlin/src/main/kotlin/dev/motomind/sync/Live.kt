package dev.motomind.sync

import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.map

/** How many changes wait for a slow collector before the oldest are dropped; queries show the rest. */
private const val CHANGES_KEPT = 64

/** What changes from the moment of collecting on. Ends with its collector. */
fun MotoMind.changes(): Flow<Changes> =
    callbackFlow {
        val subscription = subscribe(object : Listener {
            override fun onChange(changes: Changes) { trySend(changes) }
            override fun onStatus(status: Status) = Unit
        })
        awaitClose { subscription.use { it.cancel() } }
    }.buffer(CHANGES_KEPT, BufferOverflow.DROP_OLDEST)

/** How syncing stands: now, and whenever that changes. Of several, the newest. */
fun MotoMind.statuses(): Flow<Status> =
    callbackFlow {
        val subscription = subscribe(object : Listener {
            override fun onChange(changes: Changes) = Unit
            override fun onStatus(status: Status) { trySend(status) }
        })
        trySend(status())
        awaitClose { subscription.use { it.cancel() } }
    }.conflate()

/**
 * The result of a query: now, and again whenever one of the [tables] changes (`events`, `pending`,
 * `status`, `photos`, or a collection of records).
 */
fun <T> MotoMind.watch(vararg tables: String, query: suspend MotoMind.() -> T): Flow<T> =
    callbackFlow {
        val subscription = subscribe(object : Listener {
            override fun onChange(changes: Changes) {
                if (changes.tables.any { it in tables }) trySend(Unit)
            }
            override fun onStatus(status: Status) = Unit
        })
        trySend(Unit)
        awaitClose { subscription.use { it.cancel() } }
    }.conflate().map { query() }
