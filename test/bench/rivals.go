package main

import (
	"fmt"
	"strings"
)

// ends is what differs between the two gateways: namespace, own and far underlay address.
var ends = [2]struct{ ns, own, far string }{{gate1, wanIP1, wanIP2}, {gate2, wanIP2, wanIP1}}

func fastd(method string) func(*bed, options) error {
	return func(b *bed, o options) error {
		var secret, public [2]string
		for i := range ends {
			out, err := command("fastd", "--generate-key", "--machine-readable")
			if err != nil {
				return err
			}
			secret[i] = strings.TrimSpace(out)
			conf := b.file(fmt.Sprintf("key%d.conf", i), fmt.Sprintf("secret %q;\n", secret[i]))
			if out, err = command("fastd", "--show-key", "--machine-readable", "-c", conf); err != nil {
				return err
			}
			public[i] = strings.TrimSpace(out)
		}
		for i, e := range ends {
			conf := b.file(fmt.Sprintf("fastd%d.conf", i), fmt.Sprintf("log level warn;\nmode tap;\ninterface \"tun0\";\nmtu %d;\nmethod %q;\nbind %s:10000;\nsecret %q;\npeer \"far\" { key %q; remote %s:10000; }\n",
				o.mtu, method, e.own, secret[i], public[1-i], e.far))
			if err := b.start(e.ns, fmt.Sprintf("fastd%d", i), "fastd", "-c", conf); err != nil {
				return err
			}
		}
		return bridgedWhenUp("tun0", o)
	}
}

func tinc(b *bed, o options) error {
	names := [2]string{"one", "two"}
	for i, e := range ends {
		host := fmt.Sprintf("Address = %s\nCipher = aes-128-cbc\nDigest = sha1\nCompression = 0\nPMTUDiscovery = yes\n", e.own)
		b.file(names[i]+"/tinc.conf", fmt.Sprintf("Name = %s\nMode = switch\nDeviceType = tap\nInterface = tun0\nAddressFamily = ipv4\nConnectTo = %s\n", names[i], names[1-i]))
		b.file(names[i]+"/tinc-up", "#!/bin/sh\n")
		b.file(names[i]+"/hosts/"+names[i], host)
		if _, err := command("tincd", "-c", b.dir+"/"+names[i], "-K2048"); err != nil {
			return err
		}
	}
	for i := range ends {
		src, dst := b.dir+"/"+names[i]+"/hosts/"+names[i], b.dir+"/"+names[1-i]+"/hosts/"
		if _, err := command("cp", src, dst); err != nil {
			return err
		}
	}
	for i, e := range ends {
		if err := b.start(e.ns, "tinc"+names[i], "tincd", "-D", "-c", b.dir+"/"+names[i], "--pidfile", b.dir+"/"+names[i]+".pid"); err != nil {
			return err
		}
	}
	return bridgedWhenUp("tun0", o)
}

func openvpn(b *bed, o options) error {
	var print [2]string
	for i := range ends {
		key, cert := fmt.Sprintf("%s/%d.key", b.dir, i), fmt.Sprintf("%s/%d.crt", b.dir, i)
		if _, err := command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
			"-keyout", key, "-out", cert, "-subj", fmt.Sprintf("/CN=end%d", i), "-days", "30"); err != nil {
			return err
		}
		out, err := command("openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256")
		if err != nil {
			return err
		}
		_, print[i], _ = strings.Cut(strings.TrimSpace(out), "=")
	}
	for i, e := range ends {
		role := []string{"--tls-server", "--tls-client"}[i]
		words := []string{
			"openvpn", "--dev", "tun0", "--dev-type", "tap", "--proto", "udp4", "--local", e.own, "--remote", e.far, "--port", "1194",
			role, "--key", fmt.Sprintf("%s/%d.key", b.dir, i), "--cert", fmt.Sprintf("%s/%d.crt", b.dir, i), "--peer-fingerprint", print[1-i],
			"--data-ciphers", "AES-256-GCM", "--cipher", "AES-256-GCM", "--tun-mtu", fmt.Sprint(o.mtu), "--mssfix", "0", "--disable-dco",
			"--sndbuf", "4194304", "--rcvbuf", "4194304", "--verb", "1",
		}
		if role == "--tls-server" {
			words = append(words, "--dh", "none")
		}
		if err := b.start(e.ns, fmt.Sprintf("openvpn%d", i), words...); err != nil {
			return err
		}
	}
	return bridgedWhenUp("tun0", o)
}

func n2n(b *bed, o options) error {
	if err := b.start(gate1, "supernode", "supernode", "-l", "7654"); err != nil {
		return err
	}
	for i, e := range ends {
		if err := b.start(e.ns, fmt.Sprintf("edge%d", i), "edge", "-f", "-r", "-E", "-d", "tun0", "-a", fmt.Sprintf("10.98.0.%d", i+1),
			"-c", "bench", "-k", "bench", "-l", wanIP1+":7654", "-M", fmt.Sprint(o.mtu), "-m", fmt.Sprintf("02:98:00:00:00:%02d", i+1)); err != nil {
			return err
		}
	}
	return bridgedWhenUp("tun0", o)
}
