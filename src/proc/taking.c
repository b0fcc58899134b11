/* taking.c - the worker that stays: connections of one that leaves come to life here, or are
 * refused. */
#include "proc/passing.h"

#include "base/check.h"
#include "stats/memfd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	MESSAGES_PER_TURN = 16
};

/* One that hands over. Its memory stays as long as the worker: an event of the turn may name it. */
struct giver {
	struct crew__node node;
	struct crew__takings *takings;
	struct crew__source wire;
	uint32_t token; /* of the one that is being taken */
};

static void end(struct giver *giver)
{
	int fd = giver->wire.fd;
	if (fd < 0)
		return;
	crew__loop_remove(giver->takings->loop, &giver->wire);
	close(fd);
}

static int answer(struct giver *giver, unsigned type, int error)
{
	const struct crew__passed passed = { .token = giver->token, .error = error };
	return crew__wire_send(giver->wire.fd, type, &passed, sizeof(passed), NULL, 0);
}

/* From the moment in which this is in its socket the giver has it no more. */
static bool agree(void *arg)
{
	return answer(arg, CREW__MSG_PASS_TAKEN, 0) == 0;
}

/* A copy: what the giver shares it could still write to. NULL with errno. */
static char *copy_of(int memory_fd, size_t length)
{
	void *memory;
	size_t size;
	int error = crew__memfd_map(memory_fd, length, false, &size, &memory);
	if (error) {
		errno = -error;
		return NULL;
	}
	char *copy = malloc(length);
	if (copy)
		memcpy(copy, memory, length);
	munmap(memory, size);
	return copy;
}

/* 0, and then the connection's descriptor is taken; an errno. */
static int take_one(
	struct giver *giver, struct crew__message *message, const struct crew__pass *pass)
{
	crew_worker *w = giver->takings->worker;
	size_t behind = message->length - sizeof(*pass);
	char *copy = NULL;
	uint64_t id;
	crew_bytes packed = { message->payload + sizeof(*pass), pass->length };
	if (message->fd_count < 1 || pass->length > crew__handover_most(w))
		return -EPROTO;
	if (message->fd_count > 1) {
		copy = copy_of(message->fds[1], pass->length);
		if (!copy)
			return errno == ENOMEM ? -ENOMEM : -EPROTO;
		packed.data = copy;
	} else if (behind != pass->length) {
		return -EPROTO;
	}
	int error = crew__handover_take(w, packed, message->fds[0], agree, giver, &id);
	free(copy);
	if (error == 0)
		(void)crew__message_take_fd(message, 0);
	return error;
}

/* False: the giver is of no use any more. */
static bool take_pass(struct giver *giver, struct crew__message *message)
{
	struct crew__pass pass;
	if (message->type != CREW__MSG_PASS || message->length < sizeof(pass))
		return false;
	memcpy(&pass, message->payload, sizeof(pass));
	giver->token = pass.token;
	int error = take_one(giver, message, &pass);
	if (error == 0)
		return true;
	if (error != -ECANCELED)
		return answer(giver, CREW__MSG_PASS_REFUSED, error) == 0;
	return false;
}

static void on_wire(struct crew__source *source, unsigned events)
{
	static struct crew__message message; /* large; one loop, one thread */
	struct giver *giver = crew__container_of(source, struct giver, wire);
	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN && source->fd >= 0; i++) {
		int got = crew__wire_receive(source->fd, &message);
		if (got == -EAGAIN)
			return;
		if (got <= 0 || !take_pass(giver, &message))
			end(giver);
		if (got == 1)
			crew__message_release(&message);
	}
}

int crew__takings_add(struct crew__takings *takings, int take_fd)
{
	static const struct crew__pass_ready ready = { .version = CREW__PASSING_VERSION };
	struct giver *giver = calloc(1, sizeof(*giver));
	int error = giver ? 0 : -ENOMEM;
	if (!error) {
		giver->takings = takings;
		giver->wire = (struct crew__source){ .fn = on_wire, .fd = take_fd };
		error = crew__loop_add(takings->loop, &giver->wire, CREW__READ);
	}
	if (error) {
		close(take_fd);
		free(giver);
		return error;
	}
	crew__list_push(&takings->givers, &giver->node);
	error = crew__wire_send(take_fd, CREW__MSG_PASS_READY, &ready, sizeof(ready), NULL, 0);
	if (error)
		end(giver);
	return error;
}

void crew__takings_end(struct crew__takings *takings)
{
	struct crew__node *head = &takings->givers;
	for (struct crew__node *node = head->next, *after; node != head; node = after) {
		struct giver *giver = crew__container_of(node, struct giver, node);
		after = node->next;
		end(giver);
		free(giver);
	}
	crew__list_init(head);
}
