// SPDX-License-Identifier: BSD-2-Clause
//
// Puts an object that `weir compile RULES --hook xdp -o FILE.o` made (or --hook tc:ingress,
// tc:egress) in force with nothing but libbpf, until standard input ends; then says what its
// counters counted.
//
//   cc -o load_object load_object.c -lbpf
//   ./load_object FILE.o DEVICE [egress]
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The value of the map `counters`, one for each CPU.
struct counter {
  unsigned long long packets;
  unsigned long long bytes;
};

static int fail(const char *doing) {
  fprintf(stderr, "load_object: %s: %s\n", doing, strerror(errno));
  return 1;
}

static void print_counters(const struct bpf_object *object) {
  const struct bpf_map *map = bpf_object__find_map_by_name(object, "counters");
  const int cpus = libbpf_num_possible_cpus();
  if (map == NULL || cpus < 1) return;
  struct counter *values = calloc((size_t)cpus, sizeof(*values));
  if (values == NULL) return;
  for (unsigned i = 0; i < bpf_map__max_entries(map); ++i) {
    struct counter sum = {0, 0};
    if (bpf_map_lookup_elem(bpf_map__fd(map), &i, values) != 0) break;
    for (int cpu = 0; cpu < cpus; ++cpu) {
      sum.packets += values[cpu].packets;
      sum.bytes += values[cpu].bytes;
    }
    printf("counter %u: %llu packets, %llu bytes\n", i, sum.packets, sum.bytes);
  }
  free(values);
}

static void wait_for_end_of_input(void) {
  printf("in force until standard input ends\n");
  fflush(stdout);
  while (getchar() != EOF) {
  }
}

static int run_at_xdp(const struct bpf_program *program, int device) {
  struct bpf_link *link = bpf_program__attach_xdp(program, device);
  if (link == NULL) return fail("attaching at XDP");
  wait_for_end_of_input();
  return bpf_link__destroy(link) == 0 ? 0 : fail("detaching");
}

static int run_at_tc(const struct bpf_program *program, int device,
                     enum bpf_tc_attach_point point) {
  DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = device, .attach_point = point);
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, place, .prog_fd = bpf_program__fd(program));
  const int made = bpf_tc_hook_create(&hook);
  if (made != 0 && made != -EEXIST) return fail("making the qdisc clsact");
  if (bpf_tc_attach(&hook, &place) != 0) return fail("attaching at TC");
  wait_for_end_of_input();
  // Detaching wants to know which filter, not which program.
  place.flags = place.prog_fd = place.prog_id = 0;
  return bpf_tc_detach(&hook, &place) == 0 ? 0 : fail("detaching");
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: load_object FILE.o DEVICE [egress]\n");
    return 1;
  }
  const int device = (int)if_nametoindex(argv[2]);
  if (device == 0) return fail(argv[2]);
  struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
  if (object == NULL) return fail("opening the object");
  if (bpf_object__load(object) != 0) return fail("loading the object");
  const struct bpf_program *program = bpf_object__next_program(object, NULL);
  if (program == NULL) return fail("looking for a program");

  const int egress = argc > 3 && strcmp(argv[3], "egress") == 0;
  const int failed = bpf_program__type(program) == BPF_PROG_TYPE_XDP
                         ? run_at_xdp(program, device)
                         : run_at_tc(program, device, egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
  if (!failed) print_counters(object);
  bpf_object__close(object);
  return failed;
}
