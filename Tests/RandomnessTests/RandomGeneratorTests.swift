// HMAC_DRBG with SHA-256 against NIST's known answers (CAVS 14.3), and its limits.

import Randomness
import Testing
import Wire

@Suite struct RandomGeneratorTests {
  /// Entropy and nonce, personalization string, reseed, and the second 128 bytes that come then.
  struct Answer: CustomTestStringConvertible, Sendable {
    let seed: String
    let personalization: String
    let reseed: String
    let bytes: String
    var testDescription: String { String(seed.prefix(8)) }
  }

  static let answers = [
    Answer(
      seed: "06032cd5eed33f39265f49ecb142c511da9aff2af71203bffaf34a9ca5bd9c0d0e66f71edc43e42a"
        + "45ad3c6fc6cdc4df",
      personalization: "",
      reseed: "01920a4e669ed3a85ae8a33b35a74ad7fb2a6bb4cf395ce00334a9c9a5a5d552",
      bytes: "76fc79fe9b50beccc991a11b5635783a83536add03c157fb30645e611c2898bb2b1bc21500020920"
        + "8cd506cb28da2a51bdb03826aaf2bd2335d576d519160842e7158ad0949d1a9ec3e66ea1b1a064b0"
        + "05de914eac2e9d4f2d72a8616a80225422918250ff66a41bd2f864a6a38cc5b6499dc43f7f2bd09e"
        + "1e0f8f5885935124"),
    Answer(
      seed: "aadcf337788bb8ac01976640726bc51635d417777fe6939eded9ccc8a378c76a9ccc9d80c89ac55a"
        + "8cfe0f99942f5a4d",
      personalization: "",
      reseed: "03a57792547e0c98ea1776e4ba80c007346296a56a270a35fd9ea2845c7e81e2",
      bytes: "17d09f40a43771f4a2f0db327df637dea972bfff30c98ebc8842dc7a9e3d681c61902f71bffaf509"
        + "3607fbfba9674a70d048e562ee88f027f630a78522ec6f706bb44ae130e05c8d7eac668bf6980d99"
        + "b4c0242946452399cb032cc6f9fd96284709bd2fa565b9eb9f2004be6c9ea9ff9128c3f93b60dc30"
        + "c5fc8587a10de68c"),
    Answer(
      seed: "62cda441dd802c7652c00b99cac3652a64fc75388dc9adcf763530ac31df92145fdc897a0c1c4822"
        + "04ef07e0805c014b",
      personalization: "",
      reseed: "bd9bbf717467bf4b5db2aa344dd0d90997c8201b2265f4451270128f5ac05a1a",
      bytes: "7e41f9647a5e6750eb8acf13a02f23f3be77611e51992cedb6602c314531aff2a6e4c557da0777d4"
        + "e85faefcb143f1a92e0dbac8de8b885ced62a124f0b10620f1409ae87e228994b830eca638ccdcee"
        + "dd3fcd07d024b646704f44d5d9c4c3a7b705f37104b45b9cfc2d933ae43c12f53e3e6f798c51be5f"
        + "640115d45cf919a4"),
    Answer(
      seed: "5cacc68165a2e2ee20812f35ec73a79dbf30fd475476ac0c44fc6174cdac2b556f885496c1e63af6"
        + "20becd9e71ecb824",
      personalization: "e72dd8590d4ed5295515c35ed6199e9d211b8f069b3058caa6670b96ef1208d0",
      reseed: "",
      bytes: "f1012cf543f94533df27fedfbf58e5b79a3dc517a9c402bdbfc9a0c0f721f9d53faf4aafdc4b8f7a"
        + "1b580fcaa52338d4bd95f58966a243cdcd3f446ed4bc546d9f607b190dd69954450d16cd0e2d6437"
        + "067d8b44d19a6af7a7cfa8794e5fbd728e8fb2f2e8db5dd4ff1aa275f35886098e80ff844886060d"
        + "a8b1e7137846b23b"),
    Answer(
      seed: "8df013b4d103523073917ddf6a869793059e9943fc8654549e7ab22f7c29f122da2625af2ddd4abc"
        + "ce3cf4fa4659d84e",
      personalization: "b571e66d7c338bc07b76ad3757bb2f9452bf7e07437ae8581ce7bc7c3ac651a9",
      reseed: "",
      bytes: "b91cba4cc84fa25df8610b81b641402768a2097234932e37d590b1154cbd23f97452e310e291c451"
        + "46147f0da2d81761fe90fba64f94419c0f662b28c1ed94da487bb7e73eec798fbcf981b791d1be4f"
        + "177a8907aa3c401643a5b62b87b89d66b3a60e40d4a8e4e9d82af6d2700e6f535cdb51f75c321729"
        + "103741030ccc3a56"),
    Answer(
      seed: "ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488659ba96c601dc69f"
        + "c902940805ec0ca8",
      personalization: "",
      reseed: "",
      bytes: "e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89d54fbb978a15b5c4"
        + "43c9ec21036d2460b6f73ebad0dc2aba6e624abf07745bc107694bb7547bb0995f70de25d6b29e2d"
        + "3011bb19d27676c07162c8b5ccde0668961df86803482cb37ed6d5c0bb8d50cf1f50d476aa0458bd"
        + "aba806f48be9dcb8"),
  ]

  private static func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex.utf8).map { $0 <= 0x39 ? $0 - 0x30 : $0 - 0x61 + 10 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  /// The next `count` bytes, at most 1024; nil when there are none.
  private static func draw(_ generator: inout RandomGenerator, _ count: Int) -> [UInt8]? {
    var bytes = ByteArray<1024>()
    for i in 0..<1024 { bytes[i] = 0xee }
    var all = bytes.mutableBytes
    var target = all._mutatingExtracting(first: count)
    let isDone = generator.generate(into: &target)
    let list = (0..<count).map { bytes[$0] }
    if !isDone { #expect(list == Array(repeating: 0, count: count)) }
    return isDone ? list : nil
  }

  private static func make(_ material: [UInt8]) -> RandomGenerator {
    unsafe RandomGenerator(material: material.span.bytes)
  }

  @Test(arguments: answers)
  func `the bytes are those of the clause`(_ answer: Answer) {
    var generator = Self.make(Self.bytes(answer.seed + answer.personalization))
    let reseed = Self.bytes(answer.reseed)
    if !reseed.isEmpty { unsafe generator.reseed(reseed.span.bytes) }
    _ = Self.draw(&generator, 128)
    #expect(Self.draw(&generator, 128) == Self.bytes(answer.bytes))
  }

  @Test func `the self test passes`() {
    #expect(RandomGenerator.passesSelfTest())
  }

  @Test func `a reseed is asked for, and in the end insisted on`() {
    let seed = (0..<48).map { UInt8($0) }
    var generator = Self.make(seed)
    for _ in 0..<RandomGenerator.reseedInterval {
      let isDue = generator.wantsReseed
      #expect(!isDue)
      _ = Self.draw(&generator, 1)
    }
    let isDue = generator.wantsReseed
    #expect(isDue)
    var count = RandomGenerator.reseedInterval
    while Self.draw(&generator, 1) != nil { count += 1 }
    #expect(count == RandomGenerator.requestLimit)
    #expect(Self.draw(&generator, 1024) == nil)
    unsafe generator.reseed(Array(seed.prefix(32)).span.bytes)
    let isStillDue = generator.wantsReseed
    #expect(!isStillDue)
    #expect(Self.draw(&generator, 1024) != nil)
  }

  @Test func `generators of different seeds have nothing in common`() {
    var first = Self.make(Array(repeating: 1, count: 48))
    var second = Self.make(Array(repeating: 1, count: 47) + [2])
    let (a, b) = (Self.draw(&first, 1024)!, Self.draw(&second, 1024)!)
    // Of 1024 pairs of random bytes 4 are equal; 30 would be a miracle.
    #expect(zip(a, b).filter { $0 == $1 }.count < 30)
    #expect(Self.draw(&first, 1024)! != a)
  }
}
