// Package dissect tries the Wireshark dissector of docs/wireshark in tshark, on what the real encoders write.
package dissect
