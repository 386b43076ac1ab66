package afxdp

import (
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/xsend/xsend/dataplane/internal/porttest"
)

func TestConformanceNativeProgram(t *testing.T) {
	porttest.Run(t, conformance(link.XDPDriverMode))
}

func TestConformanceGenericProgram(t *testing.T) {
	porttest.Run(t, conformance(link.XDPGenericMode))
}
