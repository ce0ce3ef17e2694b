// Package images holds what the appliance's disk is made of, and the tests that start it in an emulator (make image-test).
package images
