// An agent's channels over virtio. The device is not trusted.

public import DeviceTypes
public import SCMI
public import Virtio
public import Wire

/// The channels that an SCMI driver has to its device (virtio 1.4 §5.17), for an agent.
public struct VirtioAgentChannel<Registers: RegisterAccess & ~Copyable, Patience: AgentPatience & ~Copyable>:
  AgentChannel, ~Copyable
{
  /// The driver.
  public var driver: SCMIDriver<Registers>
  /// How the agent waits.
  public var patience: Patience

  /// Channels over `driver`. Traps when its messages are longer than an agent's, 256 bytes.
  public init(_ driver: consuming SCMIDriver<Registers>, patience: consuming Patience) {
    precondition(driver.messageByteCount <= MemoryLayout<MessageBytes>.size, "messages beyond an agent's")
    self.driver = driver
    self.patience = patience
  }

  /// See `AgentChannel`.
  public var messageByteCountMax: Int { driver.messageByteCount }
  /// See `AgentChannel`.
  public var receivesEvents: Bool { driver.receivesEvents }

  /// See `AgentChannel`.
  public mutating func send(
    _ command: borrowing MessageBytes, byteCount: Int
  ) throws(ChannelFault) -> Bool {
    do throws(DeviceFault) {
      return try driver.send(command.bytes.extracting(0..<byteCount)) != nil
    } catch {
      throw .broken
    }
  }

  /// See `AgentChannel`. A late response to a command that was given up comes as any other.
  public mutating func receive(_ response: inout MessageBytes) throws(ChannelFault) -> Int? {
    do throws(DeviceFault) {
      var target = response.mutableBytes
      return try driver.receive(into: &target)?.byteCount
    } catch {
      throw .broken
    }
  }

  /// See `AgentChannel`.
  public mutating func receiveEvent(_ event: inout MessageBytes) throws(ChannelFault) -> Int? {
    do throws(DeviceFault) {
      var target = event.mutableBytes
      return try driver.receiveEvent(into: &target)
    } catch {
      throw .broken
    }
  }

  /// See `AgentPatience`.
  public mutating func wait(attempt: Int) -> Bool { patience.wait(attempt: attempt) }
}
