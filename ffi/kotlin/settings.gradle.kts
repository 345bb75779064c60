// Kotlin for Android and for desktops. `jni.sh` builds the libraries first.
pluginManagement {
    repositories { google(); mavenCentral(); gradlePluginPortal() }
}
dependencyResolutionManagement {
    repositories { google(); mavenCentral() }
}
rootProject.name = "motomind"
include(":desktop", ":android", ":sample")
project(":sample").projectDir = file("samples/android")
