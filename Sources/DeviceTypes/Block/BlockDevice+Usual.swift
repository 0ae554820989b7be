// virtio 1.4 §5.2.6 Device Operation, device side: the short way for reads and writes of the form that
// drivers give them. What is not of that form was looked at for nothing, and goes the general way from its
// beginning.

public import Virtio
import Wire

/// A read or write of the usual form: header, whole sectors and status in descriptors of their own.
struct UsualBlockRequest {
  let sector: UInt64
  let isRead: Bool
  /// Of the data.
  let byteCount: UInt32
  /// The data: as many of the request's segments, from the first.
  let count: Int
  let status: GuestRange

  /// Of the data and the status, for the limit on the work of a service call.
  @inline(__always)
  var workByteCount: UInt64 { UInt64(byteCount) &+ 1 }

  /// What goes into the used ring.
  @inline(__always)
  var writtenByteCount: UInt32 { isRead ? byteCount &+ 1 : 1 }
}

extension BlockDevice where Backend: ~Copyable {
  /// Reads and writes that end at once, while no request is held. See `VirtioDevice`.
  @inline(__always)
  public mutating func processUsual(
    queue index: Int, _ queue: inout DeviceVirtqueue, _ features: Features
  ) -> Bool {
    if !Backend.endsAtOnce { return false }
    // §5.2.2: without MQ there is one queue.
    guard slots.isEmpty, heldQueues == 0, index == 0 || features.contains(BlockFeature.multiqueue),
      var service = queue.beginUsual()
    else { return false }
    let tag = slots.tag(0)
    var byteCount: UInt64 = 0
    repeat {
      guard let head = queue.head(service), let usual = request.takeUsual(head, queue),
        usual.sector <= backend.sectorCount,
        UInt64(usual.byteCount / blockSectorByteCount) <= backend.sectorCount &- usual.sector
      else { return leave(&queue, service, byteCount) }
      var status = BlockStatus.ok
      do throws(BackendFault) {
        switch try start(usual, tag, features) {
        case .finished: break
        case .busy: return leave(&queue, service, byteCount)
        case .pending:
          byteCount &+= usual.workByteCount
          request.fill(usual)
          slots.hold(queue.leave(service, parking: head), at: 0, queue: index, request, result: nil)
          return leave(byteCount)
        }
      } catch {
        status = failed(usual, error)
      }
      BlockSlots.write(status, to: usual.status)
      queue.use(head, written: usual.writtenByteCount, &service)
      byteCount &+= usual.workByteCount
    } while !service.isAtEnd && byteCount < byteLimit
    queue.endUsual(service)
    return true
  }

  @inline(__always)
  private mutating func start(
    _ usual: UsualBlockRequest, _ tag: UInt32, _ features: Features
  ) throws(BackendFault) -> BlockProgress {
    let segments = request.segments.span.extracting(0..<usual.count)
    if usual.isRead { return try backend.read(at: usual.sector, into: segments, tag: tag) }
    // §5.2.6.2: MUST be IOERR, and MUST NOT write.
    if properties.isReadOnly { throw .readOnly }
    return try backend.write(
      at: usual.sector, from: segments, isDurable: mustBeDurable(features), tag: tag)
  }

  /// The status of a request that failed: what a read did not bring is zeros.
  @inline(never)
  private mutating func failed(_ usual: UsualBlockRequest, _ fault: BackendFault) -> BlockStatus {
    request.fill(usual)
    request.zeroWritable()
    return BlockStatus(fault)
  }

  /// The general way goes on.
  @inline(never)
  private mutating func leave(
    _ queue: inout DeviceVirtqueue, _ service: UsualService, _ byteCount: UInt64
  ) -> Bool {
    queue.leave(service)
    return leave(byteCount)
  }

  private mutating func leave(_ byteCount: UInt64) -> Bool {
    usualByteCount = byteCount
    return false
  }
}

extension BlockRequest {
  /// The request whose first descriptor is at `head`, if it is of the usual form; its data is in `segments`.
  @inline(__always)
  mutating func takeUsual(_ head: UInt32, _ queue: borrowing DeviceVirtqueue) -> UsualBlockRequest? {
    guard let start = queue.usualElement(head), !start.isDeviceWritable, !start.isLast,
      start.range.byteCount == 16, let second = start.next(in: queue)
    else { return nil }
    let header = BlockRequestHeader(start.range.firstWords())
    // A read is 0, a write 1.
    guard header.type.rawValue <= 1 else { return nil }
    let isRead = header.type == .read
    // The header is one descriptor of the chain, and the status another one.
    let limit = min(Self.segmentLimit, Int(queue.stepLimit))
    var index = second
    var byteCount: UInt32 = 0
    var count = 0
    while true {
      guard let element = queue.usualElement(index) else { return nil }
      if element.isLast {
        guard element.isDeviceWritable, element.range.byteCount == 1, count != 0,
          byteCount % blockSectorByteCount == 0
        else { return nil }
        return UsualBlockRequest(
          sector: header.sector, isRead: isRead, byteCount: byteCount, count: count, status: element.range)
      }
      // §2.7.5.2: no more than 2^32 bytes in total; with whole sectors of data the rest fits too.
      let (sum, overflow) = byteCount.addingReportingOverflow(element.range.byteCount)
      guard element.isDeviceWritable == isRead, element.range.byteCount != 0, !overflow, count < limit,
        let next = element.next(in: queue)
      else { return nil }
      segments[count] = element.range
      byteCount = sum
      count &+= 1
      index = next
    }
  }

  /// Becomes `usual`, whose segments it has.
  @inline(never)
  mutating func fill(_ usual: UsualBlockRequest) {
    header = BlockRequestHeader(type: usual.isRead ? .read : .write, sector: usual.sector)
    hasHeader = true
    first = 0
    count = usual.count
    readableCount = usual.isRead ? 0 : usual.count
    readableByteCount = usual.isRead ? 0 : usual.byteCount
    writableByteCount = usual.isRead ? usual.byteCount : 0
    status = usual.status
    workByteCount = usual.workByteCount
  }
}
