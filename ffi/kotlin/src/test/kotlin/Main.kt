package checks

import kotlin.system.exitProcess

fun main(arguments: Array<String>) {
    if (arguments.firstOrNull() == "make-plans") return makePlansAndDie(arguments[1], arguments[2])
    if (arguments.firstOrNull() == "figures") return figures()
    val checks = Checks(arguments.toList())
    checks.photos()
    checks.plans()
    checks.people()
    checks.badInput()
    checks.threads()
    exitProcess(checks.summary())
}
