package gate

import (
	"github.com/cilium/ebpf/asm"
)

// Offsets into failover.Cell.
const (
	offUntil   = 0
	offEpoch   = 8
	offFence   = 16
	offPassed  = 24
	offRefused = 32
	offLast    = 40
	offHold    = 48
)

// Verdicts. A socket filter answers how many bytes to keep, a direct-action classifier one of the TC_ACT values
// (linux/pkt_cls.h). Minus one means "the whole frame" to the first and "no opinion, ask the next" to the second.
const (
	pass        = -1
	captureDrop = 0
	injectDrop  = 2 // TC_ACT_SHOT
)

// skbMark is the offset of mark in struct __sk_buff (linux/bpf.h).
const skbMark = 8

// captureProgram keeps a frame only while the gate is open, or while a handover keeps frames in memory.
func captureProgram(state int) asm.Instructions {
	held := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R7, offHold, asm.DWord),
		asm.JLT.Reg(asm.R8, asm.R1, "pass"),
	}
	return judge(asm.Mov.Reg(asm.R6, asm.R1), nil, held, state, captureDrop)
}

// injectProgram drops a frame that carries Mark unless the gate is open, and leaves all others alone.
func injectProgram(state int) asm.Instructions {
	unmarked := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, skbMark, asm.Word),
		asm.JNE.Imm(asm.R2, Mark, "pass"),
	}
	return judge(asm.Mov.Reg(asm.R6, asm.R1), unmarked, nil, state, injectDrop)
}

// judge is the check itself, kept in step with failover.Gate.Permit: open when now < until and fence <= epoch.
// R6 holds the context, R7 the cell, R8 the time. exempt comes before the check, mercy after it has failed.
func judge(first asm.Instruction, exempt, mercy asm.Instructions, state int, drop int32) asm.Instructions {
	code := append(asm.Instructions{first}, exempt...)
	refuse := append(mercy, asm.Mov.Imm(asm.R1, 1))
	refuse[0] = refuse[0].WithSymbol("refuse")
	code = append(code,
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, state),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"), // an array has its only element; the verifier wants to see the check
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.FnKtimeGetBootNs.Call(),
		asm.Mov.Reg(asm.R8, asm.R0),

		asm.LoadMem(asm.R1, asm.R7, offUntil, asm.DWord),
		asm.JGE.Reg(asm.R8, asm.R1, "refuse"),
		asm.LoadMem(asm.R1, asm.R7, offEpoch, asm.DWord),
		asm.LoadMem(asm.R2, asm.R7, offFence, asm.DWord),
		asm.JLT.Reg(asm.R1, asm.R2, "refuse"),

		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R7, asm.R1, asm.DWord, offPassed),
		asm.StoreMem(asm.R7, offLast, asm.R8, asm.DWord),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	)
	code = append(code, refuse...)
	return append(code,
		asm.AddAtomic.Mem(asm.R7, asm.R1, asm.DWord, offRefused),
		asm.Mov.Imm(asm.R0, drop).WithSymbol("drop"),
		asm.Return(),
	)
}
