// A deterministic random bit generator: HMAC_DRBG with SHA-256 (NIST SP 800-90A Rev. 1, section 10.1.2), as
// Mbed TLS has it. It is maintained, small, and looks nothing up by secret data, so that its timing tells
// other cores nothing; AES in software would. Seeds come from `HardwareRandomness`, and are trusted to be
// secret.

import CMbedTLS

/// Random bytes from a seed, at a security strength of 256 bits.
///
/// What it gave out cannot be told from what it holds later (backtracking resistance). What it will give can,
/// up to the next reseed: there is no prediction resistance on request, since that would have every guest
/// wait for the hardware with every request. Instead it asks for a reseed early and often, and stops without
/// one.
@safe
public struct RandomGenerator: ~Copyable {
  /// Bytes of a seed: entropy of the security strength, and half as much again for the nonce (section 8.6.7).
  public static var seedByteCount: Int { 48 }
  /// Bytes of a reseed.
  public static var reseedByteCount: Int { 32 }
  /// Most bytes of one request; the clause allows 2^16.
  public static var requestByteLimit: Int { 1024 }
  /// Requests after which a reseed is asked for.
  public static var reseedInterval: UInt64 { 256 }
  /// Requests after which nothing more comes without a reseed; the clause allows 2^48.
  public static var requestLimit: UInt64 { 1 << 14 }

  private var context = unsafe mbedtls_hmac_drbg_context()
  private var isSeeded: Bool
  private var requestCount: UInt64 = 0

  /// A generator of its own: `material` is the seed, entropy before nonce, and then anything that tells this
  /// generator from others (section 10.1.2.3). Traps when it is shorter than a seed.
  ///
  /// Without memory for its hash state, which is set aside now and never later, it gives nothing.
  public init(material: RawSpan) {
    precondition(material.byteCount >= Self.seedByteCount, "too little to start from")
    // The context is ours alone. Here and below, the library keeps no pointer that it is given.
    unsafe mbedtls_hmac_drbg_init(&context)
    let hash = unsafe mbedtls_md_info_from_type(MBEDTLS_MD_SHA256)
    isSeeded = false
    let status = unsafe material.withUnsafeBytes {
      unsafe mbedtls_hmac_drbg_seed_buf(
        &context, hash, $0.baseAddress!.assumingMemoryBound(to: UInt8.self), $0.count)
    }
    isSeeded = status == 0
  }

  deinit {
    // The last use of the context. It is a copy of ours, with the same memory behind it.
    var context = unsafe context
    unsafe mbedtls_hmac_drbg_free(&context)
  }

  /// Whether a reseed is due.
  public var wantsReseed: Bool { requestCount >= Self.reseedInterval }

  /// Takes fresh entropy in (section 10.1.2.4). Traps when it is shorter than `reseedByteCount`.
  public mutating func reseed(_ entropy: RawSpan) {
    precondition(entropy.byteCount >= Self.reseedByteCount, "too little for a reseed")
    let status = unsafe entropy.withUnsafeBytes {
      unsafe random_update(
        &context, $0.baseAddress!.assumingMemoryBound(to: UInt8.self), $0.count)
    }
    isSeeded = isSeeded && status == 0
    requestCount = 0
  }

  /// Fills `target`. False, with zeros in it, when there was no reseed for too long, or never a seed.
  /// Traps above `requestByteLimit`.
  public mutating func generate(into target: inout MutableRawSpan) -> Bool {
    precondition(target.byteCount <= Self.requestByteLimit, "too much at once")
    if target.byteCount == 0 { return true }
    return unsafe target.withUnsafeMutableBytes { bytes in
      let output = unsafe bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
      if isSeeded && requestCount < Self.requestLimit {
        requestCount += 1
        if unsafe mbedtls_hmac_drbg_random(&context, output, bytes.count) == 0 { return true }
        isSeeded = false
      }
      unsafe output.update(repeating: 0, count: bytes.count)
      return false
    }
  }
}
