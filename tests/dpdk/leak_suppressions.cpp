// net_af_xdp of DPDK 22.11 gives back neither the umem it made by libxdp nor the program object it opened by
// libbpf when a port closes; the address sanitizer's build is told so, for this test program alone. What our
// own rooms open with libbpf is watched by tests/ebpf.
extern "C" const char* __lsan_default_suppressions();  // the name is the sanitizer's

extern "C" const char* __lsan_default_suppressions() {
  return "leak:libxdp.so\nleak:libbpf.so\n";
}
