package browser

import "testing"

// TestAnAlertIsKnownAndASinkIsTested does on the screen of alerts what an operator does.
func TestAnAlertIsKnownAndASinkIsTested(t *testing.T) {
	_, b := lookInside(t)
	b.open("/alerts")
	b.awaitText(".alerts", "peer z is unreachable")
	b.awaitText(".alerts", "alice knows of it")
	b.click(".alerts button", "Take back")
	b.awaitText(".toasts, [role=status], body", "Nobody has said")
	b.click("tbody button", "ops")
	b.accessible("a sink")
	b.click("dialog button", "Send a test")
	b.awaitText("dialog", "taken in 13 ms")
}
