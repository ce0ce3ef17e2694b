package secure

// ReadIdentity reads whose state directory it is without taking its lock: a daemon may run on it.
func ReadIdentity(dir string) (Peer, Network, error) {
	d := &stateDir{path: dir}
	if err := d.complete(); err != nil {
		return Peer{}, Network{}, err
	}
	network, err := d.readNetwork()
	if err != nil {
		return Peer{}, Network{}, err
	}
	b, err := d.read(certFile)
	if err != nil {
		return Peer{}, network, d.damaged(certFile, err)
	}
	cert, err := decodeCert(b)
	if err != nil {
		return Peer{}, network, d.damaged(certFile, err)
	}
	self, err := network.verify(cert)
	if err != nil {
		return Peer{}, network, d.damaged(certFile, err)
	}
	return self, network, nil
}
