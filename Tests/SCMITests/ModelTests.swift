// Seeded sequences of commands from several agents, against a naive model of what they may see.

import SCMI
import Testing
import Wire

/// A small generator, so that a seed means the same everywhere.
struct Seeded {
  var state: UInt64

  mutating func next(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % bound
  }
}

/// What the platform should know, written down as simply as can be.
private struct Model {
  struct Operation {
    var id: OperationID
    var header: UInt32
    var identifier: Int
    var clock: Int
  }

  struct Delayed: Equatable {
    var header: UInt32
    var status: SCMIStatus
    var identifier: Int
    var rate: UInt64
  }

  var views: [[Int]]
  var rates: [UInt64]
  var isOn: [Bool]
  var votes: [[Bool?]]
  var denied: [Set<Int>]
  var subscriptions: [Set<Int>]
  var pending: [Set<Int>]
  var causes: [Int]
  var running: [[Operation]]
  var finished: [[Delayed]]

  init(views: [[Int]], clockCount: Int) {
    self.views = views
    rates = Array(repeating: 100, count: clockCount)
    isOn = Array(repeating: false, count: clockCount)
    votes = views.map { _ in Array(repeating: nil, count: clockCount) }
    denied = views.map { _ in [] }
    subscriptions = views.map { _ in [] }
    pending = views.map { _ in [] }
    causes = Array(repeating: 0, count: clockCount)
    running = views.map { _ in [] }
    finished = views.map { _ in [] }
  }

  /// The clock that an agent means, or why it means none.
  func clock(_ agent: Int, _ identifier: Int) -> Result<Int, SCMIStatus> {
    if views[agent].allSatisfy({ denied[agent].contains($0) }) { return .failure(.denied) }
    guard identifier < views[agent].count else { return .failure(.notFound) }
    let clock = views[agent][identifier]
    return denied[agent].contains(clock) ? .failure(.denied) : .success(clock)
  }

  mutating func settle(_ clock: Int) { isOn[clock] = votes.contains { $0[clock] == true } }

  mutating func vote(_ agent: Int, _ clock: Int, _ wish: Bool) {
    votes[agent][clock] = wish
    settle(clock)
  }

  mutating func changed(_ clock: Int, _ cause: Int) {
    causes[clock] = cause
    for agent in views.indices where subscriptions[agent].contains(clock) { pending[agent].insert(clock) }
  }

  mutating func reset(_ agent: Int) {
    for clock in views[agent] where votes[agent][clock] != nil {
      let held = votes[agent][clock] == true
      votes[agent][clock] = nil
      if held { settle(clock) }
    }
    subscriptions[agent] = []
    pending[agent] = []
    finished[agent] = []
  }
}

/// Three agents with views of their own, the first of them trusted, on five clocks, a device each.
private final class Trial {
  let bench: Bench
  let ids: [AgentID]
  var model: Model
  var random: Seeded
  /// Commands whose agent was reset before they finished: they change the rate's observers, not the agent.
  var orphans: [(agent: Int, id: OperationID, clock: Int)] = []

  init(seed: UInt64) {
    random = Seeded(state: seed)
    let clocks = (0..<5).map { _ in TestClock(rates: [100, 200, 300], rate: 100) }
    var board = TestBoard(clocks: clocks)
    board.isSlow = true
    bench = Bench(board)
    var views: [[Int]] = []
    var ids: [AgentID] = []
    for agent in 0..<3 {
      let id = bench.platform.addAgent(
        AgentDescription(name: SCMIName("agent"), isTrusted: agent == 0))
      var left = [0, 1, 2, 3, 4]
      var view: [Int] = []
      for _ in 0..<2 + random.next(4) { view.append(left.remove(at: random.next(left.count))) }
      for clock in view { bench.platform.grant(.clock, clock, to: id) }
      views.append(view)
      ids.append(id)
    }
    self.ids = ids
    model = Model(views: views, clockCount: 5)
  }

  func step() {
    let agent = random.next(3)
    switch random.next(11) {
    case 0: setState(agent)
    case 1: getState(agent)
    case 2: setRate(agent)
    case 3: getRate(agent)
    case 4: subscribe(agent)
    case 5: finish(agent)
    case 6: setPermission(agent)
    case 7 where random.next(8) == 0: reset(agent)
    default: receive(agent)
    }
    check()
  }

  private func identifier() -> Int { random.next(6) }

  private func expect(_ reply: Reply, _ clock: Result<Int, SCMIStatus>, _ words: [UInt32] = []) {
    switch clock {
    case .success: #expect(reply == Reply(status: .success, bytes: littleEndian(words)))
    case .failure(let status): #expect(reply == .failure(status))
    }
  }

  private func setState(_ agent: Int) {
    let (identifier, isOn) = (identifier(), random.next(2) == 1)
    let clock = model.clock(agent, identifier)
    let reply = bench.send(.clock, 7, UInt32(identifier), isOn ? 1 : 0, 0, from: ids[agent])
    expect(reply, clock)
    if case .success(let clock) = clock { model.vote(agent, clock, isOn) }
  }

  private func getState(_ agent: Int) {
    let identifier = identifier()
    let clock = model.clock(agent, identifier)
    var isOn = false
    if case .success(let clock) = clock { isOn = model.votes[agent][clock] ?? model.isOn[clock] }
    expect(
      bench.send(.clock, 11, UInt32(identifier), 0, from: ids[agent]), clock, [0, isOn ? 1 : 0, 0])
  }

  private func setRate(_ agent: Int) {
    let (identifier, isAsynchronous) = (identifier(), random.next(2) == 1)
    let rate = [100, 200, 300][random.next(3)] as UInt64
    let clock = model.clock(agent, identifier)
    let busy = orphans.filter { $0.agent == agent }.count + model.running[agent].count
    let isFull = isAsynchronous && busy + model.finished[agent].count == TestPlatform.operationLimit
    let before = bench.board.pending.count
    let reply = bench.send(
      .clock, 5, isAsynchronous ? 1 : 0, UInt32(identifier), UInt32(rate), 0, from: ids[agent])
    guard case .success(let place) = clock, !isFull else {
      if case .success = clock { #expect(reply == .failure(.busy)) } else { expect(reply, clock) }
      return
    }
    expect(reply, clock)
    model.rates[place] = rate
    if isAsynchronous {
      let id = bench.board.pending[before]
      model.running[agent].append(
        Model.Operation(id: id, header: bench.lastHeader, identifier: identifier, clock: place))
    } else {
      model.changed(place, agent + 1)
    }
  }

  private func getRate(_ agent: Int) {
    let identifier = identifier()
    let clock = model.clock(agent, identifier)
    var rate: UInt64 = 0
    if case .success(let clock) = clock { rate = model.rates[clock] }
    expect(bench.send(.clock, 6, UInt32(identifier), from: ids[agent]), clock, [UInt32(rate), 0])
  }

  private func subscribe(_ agent: Int) {
    let (identifier, isEnabled) = (identifier(), random.next(3) > 0)
    let clock = model.clock(agent, identifier)
    expect(bench.send(.clock, 9, UInt32(identifier), isEnabled ? 1 : 0, from: ids[agent]), clock)
    guard case .success(let clock) = clock else { return }
    if isEnabled {
      model.subscriptions[agent].insert(clock)
    } else {
      model.subscriptions[agent].remove(clock)
      model.pending[agent].remove(clock)
    }
  }

  /// The board finishes one of its commands, in any order, well or not.
  private func finish(_ agent: Int) {
    let isFailure = random.next(4) == 0
    let status: SCMIStatus = isFailure ? .hardwareError : .success
    if !orphans.isEmpty && random.next(2) == 0 {
      let orphan = orphans.remove(at: random.next(orphans.count))
      bench.platform.finish(orphan.id, status)
      if !isFailure { model.changed(orphan.clock, orphan.agent + 1) }
      return
    }
    if model.running[agent].isEmpty { return }
    let operation = model.running[agent].remove(at: random.next(model.running[agent].count))
    bench.platform.finish(operation.id, status)
    // Once more changes nothing.
    bench.platform.finish(operation.id)
    if !isFailure { model.changed(operation.clock, agent + 1) }
    model.finished[agent].append(
      Model.Delayed(
        header: operation.header | 2 << 8, status: status, identifier: operation.identifier,
        rate: model.rates[operation.clock]))
  }

  private func setPermission(_ manager: Int) {
    let (agent, clock, isAllowed) = (random.next(3), random.next(2), random.next(3) > 0)
    let reply = bench.send(
      .base, 9, UInt32(agent + 1), UInt32(7 + clock), isAllowed ? 1 : 0, from: ids[manager])
    #expect(reply == (manager == 0 ? .done : .failure(.denied)))
    if manager != 0 { return }
    if isAllowed {
      model.denied[agent].remove(clock)
    } else if model.views[agent].contains(clock) {
      // Who may not use a clock is not told of it.
      model.denied[agent].insert(clock)
      model.subscriptions[agent].remove(clock)
      model.pending[agent].remove(clock)
    }
  }

  private func reset(_ agent: Int) {
    bench.platform.resetAgent(ids[agent])
    orphans += model.running[agent].map { (agent, $0.id, $0.clock) }
    model.running[agent] = []
    model.reset(agent)
  }

  /// Delayed responses come first and in order; then any notification that is due, with the newest rate.
  private func receive(_ agent: Int) {
    let message = bench.nextWords(for: ids[agent])
    if let delayed = model.finished[agent].first {
      model.finished[agent].removeFirst()
      var expected = [delayed.header, UInt32(bitPattern: delayed.status.rawValue)]
      if delayed.status == .success { expected += [UInt32(delayed.identifier), UInt32(delayed.rate), 0] }
      #expect(message == expected)
      return
    }
    if model.pending[agent].isEmpty {
      #expect(message.isEmpty)
      return
    }
    guard message.count == 5, Int(message[2]) < model.views[agent].count else {
      Issue.record("no notification, but one was due: \(message)")
      return
    }
    let clock = model.views[agent][Int(message[2])]
    #expect(message[0] == notification(.clock, 0) && Int(message[1]) == model.causes[clock])
    #expect(message[3] == UInt32(model.rates[clock]) && message[4] == 0)
    let wasDue = model.pending[agent].remove(clock) != nil
    #expect(wasDue)
  }

  private func check() {
    for clock in 0..<5 {
      #expect(bench.board.clocks[clock].isOn == model.isOn[clock])
      #expect(bench.board.clocks[clock].rate == model.rates[clock])
    }
  }
}

@Suite struct `SCMI model` {
  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func `several agents see what a naive model says`(_ seed: UInt64) {
    let trial = Trial(seed: seed)
    for _ in 0..<1500 { trial.step() }
  }
}
