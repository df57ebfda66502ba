// SPDX-License-Identifier: Apache-2.0
// An Ethernet switch in user space, for kernels whose tc cannot delay: tap_switch MBIT DELAY_MS
// PID... gives the network namespace of each process a TAP device eth0 and forwards frames between
// them, each link at MBIT megabits per second each way (0: no limit), DELAY_MS milliseconds late.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace traindyno::bench {

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Frame = std::vector<char>;
using Address = std::array<char, 6>;

/// In front of each frame (struct virtio_net_hdr, linux/virtio_net.h, which is not valid C++).
struct OffloadHeader {
    std::uint8_t flags;
    std::uint8_t segment_type;
    std::uint16_t header_length;
    std::uint16_t segment_size;
    std::uint16_t checksum_start;
    std::uint16_t checksum_offset;
};

static_assert(sizeof(OffloadHeader) == 10);

/// Longest frame of segments that the kernel hands over as one (64 KiB), with its headers.
constexpr std::size_t longest_frame = 70'000;
/// A sender is not read from while it is this far ahead of its link: it waits, nothing is lost.
constexpr Clock::duration lead = std::chrono::milliseconds{1};

struct Arrival {
    Time time;
    Frame frame;
};

struct Port {
    int device = -1;
    Time sent_until{};     ///< when its link has sent what was read
    Time arrived_until{};  ///< when its link has received what is coming
    std::deque<Arrival> coming{};
};

struct Link {
    double bits_per_second = 0;  ///< 0: no limit
    Clock::duration delay{};
};

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + " failed: " + std::strerror(errno));
}

int checked(int result, const char* what) {
    if (result < 0) {
        fail(what);
    }
    return result;
}

/// A TAP device eth0 in the network namespace of a process. Leaves the thread there.
int make_device(const std::string& pid) {
    const std::string path = "/proc/" + pid + "/ns/net";
    const int space = checked(open(path.c_str(), O_RDONLY | O_CLOEXEC), "open of a namespace");
    checked(setns(space, CLONE_NEWNET), "setns");
    close(space);
    const int device =
        checked(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "open of /dev/net/tun");
    ifreq request{};
    std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    checked(ioctl(device, TUNSETIFF, &request), "TUNSETIFF");
    int header = sizeof(OffloadHeader);
    checked(ioctl(device, TUNSETVNETHDRSZ, &header), "TUNSETVNETHDRSZ");
    // Segments stay together as on a link between two namespaces, or the switch would be the limit.
    checked(ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), "TUNSETOFFLOAD");
    return device;
}

class Switch {
  public:
    Switch(Link link, const std::vector<std::string>& processes) : link_(link) {
        for (const std::string& pid : processes) {
            ports_.push_back({.device = make_device(pid)});
        }
    }

    [[noreturn]] void run() {
        for (;;) {
            Time now = Clock::now();
            deliver(now);
            wait(now);
            now = Clock::now();
            for (std::size_t port = 0; port < ports_.size(); ++port) {
                read_from(port, now);
            }
        }
    }

  private:
    void deliver(Time now) {
        for (Port& port : ports_) {
            while (!port.coming.empty() && port.coming.front().time <= now) {
                const Frame& frame = port.coming.front().frame;
                // A host that takes nothing more loses the frame, as from a real switch.
                static_cast<void>(!write(port.device, frame.data(), frame.size()));
                port.coming.pop_front();
            }
        }
    }

    /// Until a frame can be read or delivered.
    void wait(Time now) {
        Time until = now + std::chrono::seconds{1};
        std::vector<pollfd> polled;
        for (const Port& port : ports_) {
            if (!port.coming.empty()) {
                until = std::min(until, port.coming.front().time);
            }
            const bool may_send = port.sent_until <= now + lead;
            if (!may_send) {
                until = std::min(until, port.sent_until - lead);
            }
            polled.push_back({.fd = may_send ? port.device : -1, .events = POLLIN, .revents = 0});
        }
        const auto left = std::max(until - now, Clock::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec timeout{.tv_sec = seconds.count(),
                               .tv_nsec = std::chrono::nanoseconds(left - seconds).count()};
        if (ppoll(polled.data(), polled.size(), &timeout, nullptr) < 0 && errno != EINTR) {
            fail("ppoll");
        }
    }

    void read_from(std::size_t from, Time now) {
        Frame frame(longest_frame);
        while (ports_[from].sent_until <= now + lead) {
            const ssize_t size = read(ports_[from].device, frame.data(), frame.size());
            if (size < static_cast<ssize_t>(sizeof(OffloadHeader) + 2 * sizeof(Address))) {
                return;
            }
            forward(from, Frame(frame.begin(), frame.begin() + size), now);
        }
    }

    void forward(std::size_t from, Frame frame, Time now) {
        const Address to = address_at(frame, 0);
        seen_[address_at(frame, sizeof(Address))] = from;
        const Clock::duration time = time_on_link(frame);
        Port& sender = ports_[from];
        sender.sent_until = std::max(now, sender.sent_until) + time;
        const auto known = seen_.find(to);
        for (std::size_t port = 0; port < ports_.size(); ++port) {
            const bool goes_there = known == seen_.end() ? port != from : port == known->second;
            if (goes_there) {
                Port& receiver = ports_[port];
                receiver.arrived_until =
                    std::max(sender.sent_until + link_.delay, receiver.arrived_until + time);
                receiver.coming.push_back({.time = receiver.arrived_until, .frame = frame});
            }
        }
    }

    [[nodiscard]] static Address address_at(const Frame& frame, std::size_t offset) {
        Address address{};
        std::memcpy(address.data(), frame.data() + sizeof(OffloadHeader) + offset, address.size());
        return address;
    }

    /// The headers that each segment of the frame has on a real link are counted too.
    [[nodiscard]] Clock::duration time_on_link(const Frame& frame) const {
        if (link_.bits_per_second == 0) {
            return {};
        }
        OffloadHeader header{};
        std::memcpy(&header, frame.data(), sizeof header);
        constexpr std::size_t headers = 66;  // Ethernet, IPv4, TCP with time stamps
        const std::size_t size = frame.size() - sizeof header;
        const std::size_t more =
            header.segment_size == 0 ? 0 : size / header.segment_size * headers;
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
            static_cast<double>(8 * (size + more)) / link_.bits_per_second));
    }

    Link link_;
    std::vector<Port> ports_;
    std::map<Address, std::size_t> seen_;  ///< behind which port an address is
};

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    using namespace traindyno::bench;
    if (argc < 4) {
        std::fprintf(stderr, "usage: tap_switch MBIT DELAY_MS PID...\n");
        return 2;
    }
    try {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        prctl(PR_SET_TIMERSLACK, 1000);  // ns: delays are to be kept
        const std::chrono::duration<double, std::milli> delay{std::atof(argv[2])};
        Switch({.bits_per_second = 1e6 * std::atof(argv[1]),
                .delay = std::chrono::duration_cast<Clock::duration>(delay)},
               {argv + 3, argv + argc})
            .run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "tap_switch: %s\n", error.what());
        return 1;
    }
}
