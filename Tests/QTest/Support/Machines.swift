/// Command line fragments for QEMU's device models, each on window `slot`.
public enum Machine {
  /// Device options that make QEMU offer both ring formats and everything about them.
  public static let allRingFeatures = "packed=on,in_order=on,event_idx=on,indirect_desc=on"

  /// Entropy, from QEMU's own generator.
  public static func entropy(slot: Int = 0, options: String = "") -> [String] {
    ["-object", "rng-builtin,id=rng\(slot)"] + device("virtio-rng-device,rng=rng\(slot)", slot, options)
  }

  /// Entropy whose bytes are those of the file at `path`, in order.
  public static func entropy(slot: Int = 0, file path: String, options: String = "") -> [String] {
    ["-object", "rng-random,id=rng\(slot),filename=\(path)"]
      + device("virtio-rng-device,rng=rng\(slot)", slot, options)
  }

  /// A block device without a medium, on which every request takes `latencyMilliseconds`: writes vanish,
  /// reads give zeroes.
  public static func nullBlock(
    slot: Int = 0, bytes: Int, latencyMilliseconds: Int = 0, options: String = ""
  ) -> [String] {
    [
      "-blockdev",
      "null-co,node-name=n\(slot),read-zeroes=on,size=\(bytes),latency-ns=\(latencyMilliseconds * 1_000_000)",
    ] + device("virtio-blk-device,drive=n\(slot)", slot, options)
  }

  /// A block device on the raw file at `path`.
  public static func fileBlock(
    slot: Int = 0, path: String, isReadOnly: Bool = false, options: String = ""
  ) -> [String] {
    let access = isReadOnly ? "read-only=on" : "discard=unmap"
    return [
      "-blockdev", "file,node-name=f\(slot),filename=\(path),\(access)",
      "-blockdev", "raw,node-name=n\(slot),file=f\(slot),\(access)",
    ] + device("virtio-blk-device,drive=n\(slot)", slot, options)
  }

  /// A network device whose frames are datagrams from the socket `local` to the socket `remote`.
  public static func network(
    slot: Int = 0, local: String, remote: String, options: String = ""
  ) -> [String] {
    [
      "-netdev",
      "dgram,id=net\(slot),local.type=unix,local.path=\(local),remote.type=unix,remote.path=\(remote)",
    ] + device("virtio-net-device,netdev=net\(slot),id=nic\(slot)", slot, options)
  }

  /// A console device with room for `ports` ports; `serialPort` adds one.
  public static func serial(slot: Int = 0, ports: Int, options: String = "") -> [String] {
    device("virtio-serial-device,id=serial\(slot),max_ports=\(ports)", slot, options)
  }

  /// A character device `id` that is socket `index` of the machine.
  public static func socket(_ index: Int, id: String) -> [String] {
    ["-chardev", QEMU.socketArgument(index, id: id)]
  }

  /// A port `number` of the console device on window `slot`, behind the character device `chardev`.
  public static func port(
    _ number: Int, model: String, chardev: String, slot: Int = 0, options: String = ""
  ) -> [String] {
    [
      "-device",
      "\(model),bus=serial\(slot).0,nr=\(number),chardev=\(chardev)" + (options.isEmpty ? "" : ",\(options)"),
    ]
  }

  /// A device `model` whose back end is another process, which listens at `path`.
  public static func vhostUser(_ model: String, path: String, slot: Int = 0, options: String = "") -> [String]
  {
    ["-chardev", "socket,id=vhost\(slot),path=\(path)"]
      + device("\(model),chardev=vhost\(slot)", slot, options)
  }

  private static func device(_ model: String, _ slot: Int, _ options: String) -> [String] {
    ["-device", "\(model),bus=virtio-mmio-bus.\(slot)" + (options.isEmpty ? "" : ",\(options)")]
  }
}
