/* test_fault_handover.c - a connection that goes and comes again, while the n-th allocation or call
 * of the loop fails, for every n: it stays, or has gone, or is there again; it is counted once, and
 * nothing leaks (under AddressSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"
#include "net_ways.h"
#include "service/handover.h"

#include <string.h>
#include <unistd.h>

static int on_handover(crew_conn *c, crew_handover *h)
{
	(void)c;
	return crew_handover_put(h, CREW_BYTES("what it knew"));
}

static int on_restore(crew_conn *c, uint64_t old_id, crew_bytes state)
{
	assert_true(old_id != 0 && state.len == 12);
	crew_send(c, CREW_BYTES("again"));
	return 0;
}

static const crew_service service = { .name = "lines",
	.listen = "text://127.0.0.1:1",
	.conn_size = 8,
	.on_handover = on_handover,
	.on_restore = on_restore };

/* What waits, with all that can be said of it. */
static void fill(crew_conn *c)
{
	static char body[6000];
	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 8; i++)
		crew_send_with(c, (crew_bytes){ body, sizeof(body) },
			&(crew_send_options){ .key = CREW_BYTES("key"),
				.ttl_ms = 100000,
				.sequence = (uint64_t)i + 1,
				.priority = i % 2 ? CREW_HIGH : CREW_NORMAL });
}

static void cross(struct world *world, crew_conn *c)
{
	struct crew__parcel parcel;
	uint64_t id;
	crew__parcel_init(&parcel, crew__handover_most(world->worker));
	if (crew__handover_pack(c, &parcel) == 0) {
		int fd = crew__conn_give_away(c);
		crew_bytes packed = { parcel.bytes.data, parcel.bytes.len };
		if (crew__handover_take(world->worker, packed, fd, NULL, NULL, &id) < 0)
			close(fd);
	}
	crew__parcel_fini(&parcel);
}

static bool run(size_t index, enum fault_kind kind, unsigned n, bool lasting)
{
	struct world world;
	(void)index;
	assert_true(world_open(&world, &service, CREW__ENGINE_EPOLL, NULL));
	int fd = world_connect(&world);
	peer_says(fd, CREW_BYTES("half a li"));
	world_settle(&world);
	crew_conn *c = world_conn(&world, 0);
	fill(c);
	world_settle(&world);
	assert_int_equal(crew__handover_movable(c), CREW__MOVES);
	fault_set(kind, n, lasting);
	cross(&world, c);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	world_settle(&world); /* with all invariants and laws */
	close(fd);
	world_close(&world);
	return hit;
}

int main(void)
{
	static const struct fault_scenes scenes = {
		.count = 1, .run = run, .kinds = { FAULT_MEMORY, FAULT_LOOP, FAULT_OPTION }
	};
	return fault_scenes_main(&scenes);
}
