"""The rows about a guest's SCMI agent: Linux's own consumers of clocks, power, resets, performance, sensors
and voltages, tried from user space. What a kernel has no drivers for is not asked of it.
"""

import re
import struct
import time

from guest_console import GuestFailure

SCMI = "sh /run/vireo/scmi.sh "
CLOCKS = {"system-counter", "entropy-source", "entropy-clock", "real-time"}
# What is bound on every kernel, and where all of SCMI's drivers are.
DRIVERS = {"scmi-clocks", "scmi-power-domain", "scmi-reset", "scmi-perf-domain"}
MORE_DRIVERS = {"scmi-hwmon", "scmi-regulator"}
ENTROPY, CLOCK = "a003000.virtio_mmio", "9010000.rtc"
CLOCK_PROTOCOL, SENSOR, RESET_PROTOCOL = 0x14, 0x15, 0x16
# What a platform has to say about messages: status, protocol, message, words.
BAD_MESSAGES = [
    (-1, 0x1a, 0),  # NOT_SUPPORTED: there is no such protocol
    (-4, 0x14, 0x30),  # NOT_FOUND: nor such a message
    (-4, 0x14, 6, 3), (-4, 0x14, 6, 0xffffffff),  # nor a resource of another guest
    (-4, 0x16, 4, 2, 1, 0), (-4, 0x11, 4, 0, 2, 1 << 30), (-4, 0x13, 7, 1, 500), (-4, 0x17, 8, 2),
    (-10, 0x14, 6), (-10, 0x14, 6, 0, 0),  # PROTOCOL_ERROR: too short, too long
    (-2, 0x14, 7, 1, 8, 0), (-2, 0x11, 4, 2, 0, 0),  # INVALID_PARAMETERS: reserved bits
    (-3, 0x14, 7, 0, 0, 0),  # DENIED: everybody's counter
    (-5, 0x13, 7, 0, 5000),  # OUT_OF_RANGE
]
CPUFREQ = "/sys/devices/system/cpu/cpufreq/policy0/"


def require(condition, text):
    if not condition:
        raise GuestFailure(text)


def raw(shell, protocol, message, *words):
    """Sends a message by Linux's raw mode; returns the words of the answer, the header first."""
    data = struct.pack(f"<{1 + len(words)}I", protocol << 10 | message, *words)
    escaped = "".join(f"\\{byte:03o}" for byte in data)
    return [int(word, 16) for word in shell.check(SCMI + f"raw '{escaped}'", 60).split()]


def load_levels(shell):
    """Has a guest's performance controlled from user space, from the highest level on."""
    shell.check(f"[ -d {CPUFREQ} ] || for name in scmi_cpufreq cpufreq_userspace; do "
                f"insmod /run/modules/$name.ko; done; echo performance >{CPUFREQ}scaling_governor")


def set_trip(shell, value):
    """Has a guest's temperature announced when it crosses a value: by a module that asks Linux's SCMI core
    for it, or where a kernel has no modules by its raw mode. Returns what waits for a number of notifications
    and returns what they say."""
    if shell.run("[ -f /run/modules/sensor_trips.ko ]")[0] == 0:
        shell.check(f"insmod /run/modules/sensor_trips.ko sensor=0 value={value}")
        line = "sensor_trips: sensor 0 crossed: "

        def from_log(count):
            shell.check(f"for i in $(seq 60); do [ $(dmesg | grep -c '{line}') -ge {count} ] && break; "
                        "sleep 1; done", 120)
            said = shell.check(f"dmesg | grep '{line}'").splitlines()
            return [int(text.rpartition(": ")[2], 16) for text in said]
        return from_log

    shell.check("echo 1 >/sys/kernel/debug/scmi/0/raw/reset")  # forgets older notifications
    require(raw(shell, SENSOR, 5, 0, 3, value, 0)[1] == 0, "no trip point")
    require(raw(shell, SENSOR, 4, 0, 1)[1] == 0, "no notice of trip points")
    found = []

    def from_raw(count):
        while len(found) < count:
            words = [int(word, 16) for word in shell.check(SCMI + "notification 60", 120).split()]
            require(words[:3] == [0x5700, 0, 0] and len(words) == 4, f"another notification: {words}")
            found.append(words[3])
        return found
    return from_raw


class ControlRows:
    """For a machine with guests, of which `machine.scmi` says how they reach the platform and
    `machine.has_consumers` whether they have all of SCMI's drivers."""

    def scmi(self):
        """every guest is an SCMI agent, without a complaint of Linux's"""
        if not self.machine.scmi:
            return "not without Vireo"
        for guest in self.machine.guests:
            log = guest.shell.check("dmesg | grep -i scmi")
            require("SCMI Protocol v2.1 'Vireo:guest host' Firmware version 0x1" in log,
                    f"{guest.name} has not found the platform: {log}")
            self.search_log(guest)
            drivers = set(guest.shell.check(
                "for d in /sys/bus/scmi_protocol/devices/*/driver; do basename $(readlink $d); done").split())
            wanted = DRIVERS | (MORE_DRIVERS if self.machine.has_consumers else set())
            require(wanted <= drivers, f"{guest.name} has not bound {wanted - drivers}")
            clocks = set(guest.shell.check(SCMI + "clocks").split())
            require(clocks == CLOCKS, f"{guest.name} has other clocks: {clocks}")
            require(" 62500000 " in guest.shell.check(SCMI + "clock system-counter"),
                    f"the counter of {guest.name} has another rate")
            if self.machine.has_consumers:
                waiting = guest.shell.check(SCMI + "deferred").split()
                require(not waiting, f"devices of {guest.name} wait for ever: {waiting}")
        return f"over {self.machine.scmi}"

    def search_log(self, guest):
        """Fails if a guest's kernel has warned of anything about SCMI."""
        log = guest.shell.check("dmesg | grep -i scmi; dmesg -l emerg,alert,crit,err,warn | "
                                "grep -i scmi | sed 's/^/warning: /'; true")
        # Modules are not signed. Who reads pins' settings by debugfs asks for kinds that SCMI does not have.
        known = ["module verification failed", "loading out-of-tree module taints kernel",
                 "Error map pinconf_type"]
        if guest.scmi == "hvc":
            # There are no notifications, which scmi-cpufreq says.
            known.append("failed to register for limits change notifier")
        log = re.sub(f".*(?:{'|'.join(known)}).*", "", log)
        bad = re.findall(r".*(?:alformed|rror|arning|fail|timed out|unexpected|misconfig|uggy).*", log)
        require(not bad, f"the SCMI drivers of {guest.name} complain: {bad}")

    def scmi_log(self):
        """with every consumer at work, no kernel has warned of anything about SCMI"""
        if not self.machine.scmi:
            return "not without Vireo"
        for guest in self.machine.guests:
            self.search_log(guest)
        return f"over {self.machine.scmi}"

    def scmi_devices(self):
        """clock, power, reset: of a real-time clock by which Linux set its time, and of an entropy device"""
        if not self.machine.scmi:
            return "not without Vireo"
        shell = self.first.shell
        has_files = shell.run("[ -f /sys/class/rtc/rtc0/since_epoch ]")[0] == 0
        if has_files:
            gap = abs(int(shell.check(SCMI + "seconds")) - time.time())
            require(gap < 300, f"the guest's clock is {gap:.0f} seconds off")
        amba, virtio = "/sys/bus/amba/drivers/rtc-pl031", "/sys/bus/platform/drivers/virtio-mmio"
        for driver, device, domain in ((amba, CLOCK, "real-time"), (virtio, ENTROPY, "entropy")):
            shell.check(SCMI + f"driver {driver} {device} unbind")
            require(" off" in shell.check(SCMI + f"domain {domain}"), f"{domain} keeps its power")
            shell.check(SCMI + f"driver {driver} {device} bind")
            require(" on " in shell.check(SCMI + f"domain {domain}"), f"{domain} has no power")
        require(shell.check(SCMI + "clock real-time").split()[1] == "1", "the clock's clock is not in use")
        shell.check(f"[ -e {amba}/{CLOCK} ]")
        shell.check(SCMI + "entropy")
        return self.clock_rate(shell)

    def clock_rate(self, shell):
        """Sets the rate of the real-time clock from user space, where there is a driver for it."""
        if shell.run("[ -f /run/modules/pwm_clk.ko ]")[0] != 0:
            return ""
        pwm = "/sys/class/pwm/pwmchip0/"
        shell.check(f"[ -d {pwm} ] || insmod /run/modules/pwm_clk.ko; "
                    f"[ -d {pwm}pwm0 ] || echo 0 >{pwm}export; cd {pwm}pwm0; "
                    "echo 3814 >period; echo 1 >enable")
        # Linux rounds periods of nanoseconds.
        rate = int(shell.check(SCMI + "clock real-time").split()[4])
        require(abs(rate - 8 * 32768) < 100, f"the rate reads back as {rate}")
        counted = shell.check(SCMI + "seconds; sleep 2; " + SCMI + "seconds").split()
        passed = int(counted[1]) - int(counted[0])
        require(passed >= 12, f"at eight times its rate the clock counts {passed} seconds in two")
        shell.check("echo 30518 >period; cd")
        rate = int(shell.check(SCMI + "clock real-time").split()[4])
        require(abs(rate - 32768) < 10, f"the rate goes back to {rate}")
        return "a clock at eight times its rate, and back"

    def scmi_performance(self):
        """performance levels by scmi-cpufreq: read back, and the guest runs at that speed"""
        if not self.machine.has_consumers:
            return "not with this kernel's drivers"
        shell = self.first.shell
        load_levels(shell)
        require(shell.check(f"cat {CPUFREQ}scaling_driver").strip() == "scmi",
                "the driver is not scmi-cpufreq")
        frequencies = shell.check(f"cat {CPUFREQ}scaling_available_frequencies").split()
        require(frequencies == ["500000", "1000000", "1500000", "2000000"],
                f"other levels: {frequencies}")
        shell.check(f"echo userspace >{CPUFREQ}scaling_governor")
        times = {"500000": 0, "2000000": 0}
        for frequency in ("2000000", "500000", "2000000", "500000", "2000000"):
            shell.check(f"echo {frequency} >{CPUFREQ}scaling_setspeed")
            read = shell.check(f"cat {CPUFREQ}cpuinfo_cur_freq").strip()
            require(read == frequency, f"{read} kHz instead of {frequency}")
            times[frequency] += int(shell.check(SCMI + "loop 10000"))
        ratio = times["500000"] / 2 / max(times["2000000"] / 3, 1)
        shell.check(f"echo performance >{CPUFREQ}scaling_governor")
        # A busy machine makes up for some of the pauses.
        require(ratio > 1.5, f"a quarter of the speed takes {ratio:.1f} times as long")
        return f"a quarter of the speed takes {ratio:.1f} times as long"

    def scmi_supplies(self):
        """voltages by scmi-regulator, seen by scmi-hwmon; temperature and power; of one guest alone"""
        if not self.machine.has_consumers:
            return "not with this kernel's drivers"
        shell, other = self.first.shell, self.second.shell
        virtual = "/sys/devices/platform/core-voltage/"
        switch = "/sys/devices/platform/peripheral-switch/state"

        def cores(sh):
            return int(sh.check(SCMI + "sensor vdd-cores"))

        require((cores(shell), cores(other)) == (1000, 1000), "the voltages are not what they start with")
        shell.check(f"echo 1100000 >{virtual}max_microvolts; echo 1100000 >{virtual}min_microvolts")
        require((cores(shell), cores(other)) == (1100, 1000), "a voltage does not read back")
        shell.check(f"echo 1000000 >{virtual}min_microvolts; echo 1000000 >{virtual}max_microvolts")
        require(cores(shell) == 1000, "the voltage does not go back")
        for word, millivolts in (("enabled", "1800"), ("disabled", "0")):
            shell.check(f"echo {word} >{switch}")
            require(shell.check(SCMI + "sensor vdd-peripherals").strip() == millivolts,
                    f"a supply that is {word} has another voltage than {millivolts}")
        temperature = int(shell.check("cat /sys/class/thermal/thermal_zone0/temp"))
        require(25_000 < temperature < 100_000, f"{temperature} thousandths of a degree")
        power = int(shell.check(SCMI + "sensor power"))
        require(0 < power < 3_000_000, f"{power} microwatts")
        return f"{temperature / 1000:.1f} degrees, {power / 1e6:.2f} W"

    def scmi_shared(self):
        """a clock that the guests share is on until both have released it"""
        if not self.machine.scmi:
            return "not without Vireo"
        first, second = self.first.shell, self.second.shell

        def comes(expected, when):
            for shell, name in ((first, "first"), (second, "second")):
                status = shell.run(SCMI + ("entropy" if expected else "entropy 2"))[0]
                require((status == 0) == expected,
                        f"the {name} guest has {'no ' if expected else ''}random bytes {when}")

        for shell in (first, second):
            shell.check(SCMI + "switch on")
        comes(True, "although both hold the clock")
        first.check(SCMI + "switch off")
        comes(True, "although the second holds the clock")
        second.check(SCMI + "switch off")
        comes(False, "although nobody holds the clock")
        first.check(SCMI + "switch on")
        comes(True, "although the first holds the clock")
        second.check(SCMI + "switch on")
        return ""

    def scmi_samples(self):
        """samples of an accelerometer by Linux's industrial I/O, each of them a notification"""
        if self.second.scmi != "virtio" or not self.machine.has_consumers:
            return "only over virtio, with the driver for it"
        shell, device = self.second.shell, "/sys/bus/iio/devices/iio:device0/"
        shell.check(f"[ -d {device} ] || for name in industrialio kfifo_buf scmi_iio; do "
                    "insmod /run/modules/$name.ko; done")
        for rate in ("1.000000", "10.000000"):
            shell.check(f"echo {rate} >{device}in_accel_sampling_frequency")
            read = shell.check(f"cat {device}in_accel_sampling_frequency").strip()
            require(read == rate, f"a rate of {read} instead of {rate}")
        require(shell.check(f"cat {device}in_accel_z_raw").strip() == "9807", "no gravity")
        samples = [line.split() for line in shell.check(SCMI + "samples 3").splitlines()]
        require(len(samples) == 3 and all(sample[2] == "9807" for sample in samples),
                f"other samples came: {samples}")
        return f"{len(samples)} samples"

    def scmi_pins(self):
        """pins by pinctrl-scmi: set up for a device, and changed from user space"""
        shell = self.first.shell
        shell.check(SCMI + "deferred")  # mounts debugfs
        folder = shell.run("echo /sys/kernel/debug/pinctrl/scmi_dev*")[1].strip()
        if "*" in folder:
            return "not with this kernel's drivers"
        groups = shell.check(f"cat {folder}/pinconf-groups")
        require("peripherals" in groups and "8 mA" in groups, f"the device's pins are not set up: {groups}")
        switch = "/sys/devices/platform/peripheral-switch/state"
        shell.check(f"echo enabled >{switch}")
        for function, millivolts in (("gpio", "0"), ("supply", "1800")):
            shell.check(f"echo 'peripherals {function}' >{folder}/pinmux-select")
            require(shell.check(SCMI + "sensor vdd-peripherals").strip() == millivolts,
                    f"as {function} the pins have another voltage than {millivolts}")
        shell.check(f"echo disabled >{switch}")
        return "8 mA"

    def scmi_powercap(self):
        """a power cap by Linux's powercap lowers the level"""
        shell = self.second.shell
        if shell.run("[ -d /sys/class/powercap/arm-scmi:0 ]")[0] != 0:
            return "not with this kernel's drivers"
        zone = "/sys/class/powercap/arm-scmi:0/"
        cap = zone + "constraint_0_power_limit_uw"
        level = f"cat {CPUFREQ}cpuinfo_cur_freq"
        load_levels(shell)
        require(shell.check(level).strip() == "2000000", "the level is not the highest to begin with")
        shell.check(f"echo 250000 >{cap}; echo 1 >{zone}enabled")
        require(shell.check(f"cat {cap}").strip() == "250000", "the cap does not read back")
        require(shell.check(level).strip() == "500000", "the cap does not lower the level")
        shell.check(f"echo 0 >{zone}enabled")
        require(shell.check(level).strip() == "2000000", "without the cap the level stays low")
        return f"over {self.second.scmi}"

    def scmi_trips(self):
        """a temperature that crosses a trip point, down and up, reaches Linux as a notification"""
        if self.second.scmi != "virtio" or not self.machine.has_consumers:
            return "only over virtio, with the drivers for it"
        shell = self.second.shell
        load_levels(shell)
        # The cores get warmer than that at the highest level even without work, and at the lowest not even
        # with it.
        value = 36_000
        shell.check(f"until [ $({SCMI}sensor temperature) -gt {value + 500} ]; do sleep 1; done", 120)
        trips = set_trip(shell, value)
        shell.check(f"echo userspace >{CPUFREQ}scaling_governor; echo 500000 >{CPUFREQ}scaling_setspeed")
        found = trips(1)
        shell.check(f"echo performance >{CPUFREQ}scaling_governor")
        found = trips(2)
        require(found == [0, 1 << 16], f"the sensor cools and warms, and it is announced as {found}")
        return f"{value // 1000} degrees"

    def scmi_raw(self):
        """malformed and foreign messages by Linux's raw mode, and what a reset does to a device"""
        self.first.shell.check(SCMI + "deferred")  # mounts debugfs
        if self.first.shell.run("[ -d /sys/kernel/debug/scmi/0/raw ]")[0] != 0:
            return "not with this kernel"
        for guest in self.machine.guests:
            shell = guest.shell
            for wanted, *message in BAD_MESSAGES:
                found = raw(shell, *message)
                require(len(found) == 2 and found[1] == wanted & 0xffffffff,
                        f"{message} of {guest.name} is answered by {found}")
                found = raw(shell, CLOCK_PROTOCOL, 6, 0)
                require(found[1:] == [0, 62_500_000, 0], f"after {message} a good message gets {found}")
            # An autonomous reset of the entropy device: its driver finds it as after power-on.
            status = f"cat /sys/bus/platform/devices/{ENTROPY}/virtio*/status"
            require(shell.check(status).strip() == "0x0000000f", "the entropy device does not run")
            require(raw(shell, RESET_PROTOCOL, 4, 0, 1, 0)[1] == 0, "no reset")
            require(shell.check(status).strip() == "0x00000000", "a reset device goes on")
            virtio = "/sys/bus/platform/drivers/virtio-mmio"
            for word in ("unbind", "bind"):
                shell.check(SCMI + f"driver {virtio} {ENTROPY} {word}")
            shell.check(SCMI + "entropy")
        return f"{len(BAD_MESSAGES)} messages"

    def scmi_events(self):
        """a request to end reaches Linux as a notification, and it powers off by itself"""
        if self.second.scmi != "virtio" or not self.machine.has_consumers:
            return "only over virtio, with the driver for it"
        self.second.shell.check("ls /sys/bus/scmi_protocol/drivers/scmi-system-power | grep scmi_dev")
        # The order does no more than raise the notification; what is off has called PSCI for it. Not every
        # kernel gets its last words to the console.
        self.machine.off_position = self.machine.order(1, "s")
        self.machine.wait_off(1)
        self.revive(1)
        return ""
