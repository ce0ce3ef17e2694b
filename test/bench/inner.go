package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// inner is what this program does when it runs itself inside a namespace.
func inner(role string, args []string) {
	var err error
	switch {
	case role == "__echo" && len(args) == 1:
		err = echo(args[0])
	case role == "__ping" && len(args) == 2:
		err = ping(args[0], args[1])
	case role == "__blast" && len(args) == 3:
		err = blast(args[0], args[1], args[2])
	default:
		err = fmt.Errorf("unknown role %s %v", role, args)
	}
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

// echo answers every datagram until it is killed.
func echo(addr string) error {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(buf[:n], from); err != nil {
			return err
		}
	}
}

// ping measures round trips one after the other and prints median and 99th percentile in microseconds. Answers carry
// the number of the question, as a late one must not be taken for the next.
func ping(addr, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	var took []time.Duration
	question, answer := make([]byte, 64), make([]byte, 64)
	for i := range n {
		binary.BigEndian.PutUint64(question, uint64(i)+1)
		start := time.Now()
		conn.SetReadDeadline(start.Add(200 * time.Millisecond))
		if _, err := conn.Write(question); err != nil {
			continue
		}
		for {
			if _, err := conn.Read(answer); err != nil {
				break
			}
			if binary.BigEndian.Uint64(answer) == uint64(i)+1 {
				took = append(took, time.Since(start))
				break
			}
		}
	}
	if len(took) < n/2 {
		return fmt.Errorf("only %d of %d round trips were answered", len(took), n)
	}
	slices.Sort(took)
	micro := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))]) / float64(time.Microsecond)
	}
	fmt.Println(micro(0.5), micro(0.99))
	return nil
}

// blast sends 64-byte frames from eth0 to one station at the offered rate, in batches of 32 by sendmmsg.
func blast(mac, rate, seconds string) error {
	dst, err := drawbridge.ParseMAC(mac)
	if err != nil {
		return err
	}
	offered, err := strconv.ParseFloat(rate, 64)
	if err != nil {
		return err
	}
	length, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return err
	}
	dev, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: dev.Index}); err != nil {
		return err
	}
	return pace(fd, smallFrame(dst, drawbridge.MAC(dev.HardwareAddr)), offered, length)
}

// smallFrame is UDP over IPv4 to the discard port, 64 octets without frame check sequence.
func smallFrame(dst, src drawbridge.MAC) []byte {
	f := make([]byte, 64)
	copy(f, dst[:])
	copy(f[6:], src[:])
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	ip := f[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], 50)
	copy(ip[12:], net.ParseIP(hostIP1).To4())
	copy(ip[16:], net.ParseIP(hostIP2).To4())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(f[34:], 9009)
	binary.BigEndian.PutUint16(f[36:], 9)
	binary.BigEndian.PutUint16(f[38:], 30)
	return f
}
