// What a block driver answers, to its caller and about its requests.

public import Virtio
public import Wire

/// Names a request from its submission until its completion was taken.
public struct BlockToken: Equatable, Sendable {
  let rawValue: UInt32
}

/// How a request ended.
public enum BlockResult: Equatable, Sendable {
  /// All of it was done.
  case finished
  /// The device, or the clause, did not let it. Parts of it may have been done (§5.2.6).
  case failed(BackendFault)
  /// A reset came in between. Nobody knows how much was done.
  case abandoned
}

/// The end of a request. Its memory belongs to the caller again.
public struct BlockCompletion: Sendable {
  /// What `submit` returned.
  public let token: BlockToken
  /// How it ended.
  public let result: BlockResult
  /// The bytes that came back for getID and getLifetime; else zeros.
  public let response: ByteArray<20>

  /// The response of getLifetime. Values that §5.2.6 reserves are 0, unknown.
  public var lifetime: BlockLifetime {
    BlockLifetime(
      preEndOfLife: response.load(at: 0), estimateA: response.load(at: 2), estimateB: response.load(at: 4)
    ).withoutReservedValues
  }
}

/// Why a driver did not do something.
public enum BlockFailure: Error, Equatable, Sendable {
  /// The request cannot be made of this device, or it failed.
  case request(BackendFault)
  /// The device broke the protocol. It is not used any more until `reset` and `restart`.
  case device(DeviceFault)
  /// A caller that waits has left too many completions untaken.
  case tooManyRequests
  /// The caller stopped waiting. The device still has the request and its memory, until `nextCompletion`
  /// returns it or `reset`.
  case timedOut
  /// A reset ended the request.
  case abandoned
}

/// What a driver asks of its device and of its memory.
public struct BlockDriverOptions: Sendable {
  /// Device-independent features to accept if offered.
  public var ringFeatures = Features.mmioTransportBits
  /// Device-type features to accept if offered.
  public var deviceFeatures = BlockDriverOptions.knownFeatures
  /// Queues to use, 1 to 4, if the device has as many.
  public var queueCount = 1
  /// Descriptors of each queue, if the device takes as many; at least 4.
  public var queueSize: UInt16 = 64
  /// Longest chain that goes through an indirect table, where INDIRECT_DESC was negotiated; 0 for none. A
  /// table of this many entries of 16 bytes is set aside for each descriptor.
  public var indirectCapacity: UInt16 = 0
  /// Most segments or ranges in the list of one request, at least 1. Not a limit on its length in bytes.
  public var segmentLimit = 16

  /// The defaults above.
  public init() {}

  /// What the driver makes use of.
  public static var knownFeatures: Features {
    BlockFeature.sizeMax | BlockFeature.segMax | BlockFeature.readOnly | BlockFeature.blockSize
      | BlockFeature.flush | BlockFeature.topology | BlockFeature.configurableCache
      | BlockFeature.multiqueue | BlockFeature.discard | BlockFeature.writeZeroes | BlockFeature.lifetime
      | BlockFeature.secureErase
  }
}
