// A JAR with the library for this machine inside; JNA finds it under its platform's name.
plugins {
    id("org.jetbrains.kotlin.jvm")
    `maven-publish`
}

kotlin { jvmToolchain(17) }

sourceSets.main {
    kotlin.srcDirs("../src/main/kotlin", "../build/generated/kotlin")
    resources.srcDir("../build/generated/desktop")
}

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.9.0")
    implementation("net.java.dev.jna:jna:5.15.0")
}

publishing {
    publications.create<MavenPublication>("desktop") {
        artifactId = "motomind-desktop"
        from(components["java"])
    }
}
