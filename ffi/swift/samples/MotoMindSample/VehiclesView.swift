import CoreLocation
import MotoMind
import PhotosUI
import SwiftUI

struct VehiclesView: View {
    let garage: Garage
    @State private var reporting: VehicleEntry?

    var body: some View {
        NavigationStack {
            List(garage.vehicles, id: \.vehicle.id) { entry in
                Button {
                    reporting = entry
                } label: {
                    LabeledContent(entry.name, value: entry.miles.map { "\($0) mi" } ?? "–")
                }
                .badge(Int(entry.pending))
            }
            .navigationTitle("Vehicles")
            .toolbar { Text(garage.unsent == 0 ? "All sent" : "\(garage.unsent) pending") }
            .sheet(item: $reporting) { entry in ReportView(garage: garage, vehicle: entry) }
        }
    }
}

extension VehicleEntry: @retroactive Identifiable {
    public var id: String { vehicle.id }
}

struct ReportView: View {
    let garage: Garage
    let vehicle: VehicleEntry
    @State private var words = ""
    @State private var chosen: PhotosPickerItem?
    @State private var places = CLLocationManager()
    @Environment(\.dismiss) private var dismiss

    var body: some View {
        Form {
            TextField("What is damaged?", text: $words)
            PhotosPicker("Photo", selection: $chosen, matching: .images)
            Button("Save") {
                Task {
                    let photo = try? await chosen?.loadTransferable(type: Data.self)
                    await garage.report(words, on: vehicle, photo: photo, at: places.location)
                    dismiss()
                }
            }
        }
        .onAppear { places.requestWhenInUseAuthorization() }
    }
}
