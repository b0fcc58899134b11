/* control.c - the conversations with commands.
 *
 * A conversation is one request and its answer. Nothing is queued for a command: what does not fit
 * into its socket at once ends the conversation, so a command that does not read costs nothing. */
#include "proc/control.h"

#include "base/list.h"
#include "proc/endpoint.h"
#include "proc/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONVERSATIONS_MAX = 64,
	ACCEPTS_PER_TURN = 8
};

struct conversation {
	struct crew__node node;
	struct crew__control *control;
	struct crew__source source;
	uid_t uid;
	bool may_act;
	bool has_sockets; /* it has been given copies of all of them */
	bool awaits_reload;
};

struct crew__control {
	struct crew__control_plan plan;
	struct crew__source door;
	struct crew__node conversations; /* the oldest first */
	struct crew__node ended;         /* freed at the turn's end */
	struct crew__turn_hook hook;
	unsigned count;
	bool has_act_group;
	gid_t act_group; /* whose members may act too */
};

static bool free_ended(struct crew__turn_hook *hook)
{
	struct crew__control *control = crew__container_of(hook, struct crew__control, hook);
	struct crew__node *head = &control->ended;
	for (struct crew__node *node = head->next, *after; node != head; node = after) {
		after = node->next;
		free(crew__container_of(node, struct conversation, node));
	}
	crew__list_init(head);
	crew__loop_remove_hook(control->plan.loop, hook);
	return false;
}

static void end(struct conversation *talk)
{
	struct crew__control *control = talk->control;
	int fd = talk->source.fd;
	if (fd < 0)
		return;
	crew__loop_remove(control->plan.loop, &talk->source);
	close(fd);
	control->count--;
	crew__list_remove(&talk->node);
	if (crew__list_empty(&control->ended))
		crew__loop_add_hook(control->plan.loop, &control->hook);
	crew__list_push(&control->ended, &talk->node);
}

static void answer(struct conversation *talk, unsigned type, const void *payload, size_t length)
{
	if (crew__wire_send(talk->source.fd, type, payload, length, NULL, 0) < 0)
		end(talk);
}

static void refuse(struct conversation *talk, const char *sentence)
{
	if (crew__wire_send_text(talk->source.fd, CREW__MSG_REFUSED, sentence) < 0)
		end(talk);
}

/* ---- looking ------------------------------------------------------------------------------- */

/* The next batch of lives from entry `*at` on; moves `*at` behind them. */
static int send_batch(int fd, const struct crew__registry *registry, unsigned *at)
{
	uint32_t lives[CREW__WIRE_MAX_FDS];
	int fds[CREW__WIRE_MAX_FDS];
	size_t count = 0;
	int status = 0;
	for (; *at < registry->used && count < CREW__WIRE_MAX_FDS; (*at)++) {
		const struct crew__entry *entry = &registry->entries[*at];
		if (entry->serial == 0)
			continue;
		int copy = crew__segment_readonly_fd(&entry->segment);
		if (copy < 0) {
			status = copy;
			break;
		}
		lives[count] = entry->life.life;
		fds[count++] = copy;
	}
	if (status == 0 && count > 0)
		status = crew__wire_send(
			fd, CREW__MSG_LIVES, lives, count * sizeof(lives[0]), fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return status;
}

static void show(struct conversation *talk)
{
	const struct crew__registry *registry = talk->control->plan.registry;
	uint32_t count = 0;
	for (unsigned i = 0; i < registry->used; i++)
		count += registry->entries[i].serial != 0;
	int directory_fd = crew__directory_readonly_fd(&registry->directory);
	int status = directory_fd;
	if (directory_fd >= 0) {
		status = crew__wire_send(talk->source.fd, CREW__MSG_ATTACHED, &count, sizeof(count),
			&directory_fd, 1);
		close(directory_fd);
	}
	for (unsigned at = 0; status >= 0 && at < registry->used;)
		status = send_batch(talk->source.fd, registry, &at);
	if (status < 0)
		end(talk);
}

/* ---- acting -------------------------------------------------------------------------------- */

static bool may_act(struct conversation *talk)
{
	if (talk->may_act)
		return true;
	const char *group = talk->control->plan.settings->control_act_group;
	char text[256];
	snprintf(text, sizeof(text), "user %u may look but not act here: be root, user %u, or %s%s",
		(unsigned)talk->uid, (unsigned)geteuid(),
		group ? "a member of group " : "of the group that crew.control_act_group names",
		group ? group : "");
	refuse(talk, text);
	return false;
}

static void kick(struct conversation *talk, const struct crew__message *message)
{
	const struct crew__control_plan *plan = &talk->control->plan;
	uint64_t ids[CREW__KICK_MOST];
	size_t count = message->length / sizeof(ids[0]);
	if (count == 0 || count > CREW__KICK_MOST || message->length % sizeof(ids[0]) != 0) {
		end(talk);
		return;
	}
	struct crew__handed_on handed_on = { 0 };
	memcpy(ids, message->payload, message->length);
	plan->kick(plan->arg, ids, count, talk->uid, &handed_on);
	if (talk->source.fd >= 0)
		answer(talk, CREW__MSG_HANDED_ON, &handed_on, sizeof(handed_on));
}

static void set(struct conversation *talk, const struct crew__message *message)
{
	const struct crew__control_plan *plan = &talk->control->plan;
	struct crew__handed_on handed_on = { 0 };
	char error[1536] = "it cannot be done";
	int status = plan->set(
		plan->arg, message->payload, talk->uid, &handed_on, error, sizeof(error));
	if (talk->source.fd < 0)
		return;
	if (status < 0)
		refuse(talk, error);
	else
		answer(talk, CREW__MSG_HANDED_ON, &handed_on, sizeof(handed_on));
}

/* Those that begin at `*at`, as many as a packet takes. */
static int send_sockets(int fd, const struct crew__inherited *all, size_t *at)
{
	struct crew__sockets_note note = { .total = (uint32_t)all->count };
	int fds[CREW__SOCKETS_MOST];
	memset(&note.socket, 0, sizeof(note.socket));
	for (; *at < all->count && note.count < CREW__SOCKETS_MOST; (*at)++) {
		const struct crew__inherited_socket *socket = &all->sockets[*at];
		struct crew__socket_note *to = &note.socket[note.count];
		snprintf(to->service, sizeof(to->service), "%s", socket->name);
		to->place = socket->place;
		to->index = socket->index;
		to->device = socket->file.device;
		to->inode = socket->file.inode;
		fds[note.count++] = socket->fd;
	}
	size_t length = offsetof(struct crew__sockets_note, socket) +
			note.count * sizeof(note.socket[0]);
	return crew__wire_send(fd, CREW__MSG_SOCKETS_ARE, &note, length, fds, note.count);
}

/* Who has them can speak for the program: that is more than to end it, and not for members of
 * control_act_group. */
static void give_sockets(struct conversation *talk)
{
	const struct crew__control_plan *plan = &talk->control->plan;
	struct crew__inherited all;
	if (talk->uid != 0 && talk->uid != geteuid()) {
		refuse(talk, "only root or the user that it runs as may take its sockets over");
		return;
	}
	crew__inherited_init(&all, "this process");
	int status = plan->sockets ? plan->sockets(plan->arg, &all) : -EOPNOTSUPP;
	size_t at = 0;
	do
		status = status < 0 ? status : send_sockets(talk->source.fd, &all, &at);
	while (status == 0 && at < all.count);
	crew__inherited_fini(&all, true);
	talk->has_sockets = status == 0;
	if (status < 0)
		refuse(talk, strerror(-status));
}

static void stop_or_reload(struct conversation *talk, const struct crew__message *message)
{
	const struct crew__control_plan *plan = &talk->control->plan;
	struct crew__command command;
	if (message->length != sizeof(command)) {
		end(talk);
		return;
	}
	memcpy(&command, message->payload, sizeof(command));
	struct crew__accepted accepted;
	char error[1024] = "it cannot be done";
	int status;
	if (message->type == CREW__MSG_STOP_ALL) {
		if (talk->has_sockets)
			plan->leave_sockets(plan->arg);
		status = plan->stop(plan->arg, command.graceful != 0, &accepted.bound_ms);
	} else {
		/* The owner may tell the end from inside the call; then it must not be missed. */
		talk->awaits_reload = true;
		status = plan->reload(
			plan->arg, command.graceful != 0, &accepted.bound_ms, error, sizeof(error));
	}
	if (talk->source.fd < 0)
		return;
	if (status < 0) {
		talk->awaits_reload = false;
		refuse(talk, error);
	} else {
		answer(talk, CREW__MSG_ACCEPTED, &accepted, sizeof(accepted));
	}
}

static void act(struct conversation *talk, const struct crew__message *message)
{
	if (!may_act(talk))
		return;
	if (message->type == CREW__MSG_KICK)
		kick(talk, message);
	else if (message->type == CREW__MSG_SET)
		set(talk, message);
	else if (message->type == CREW__MSG_SOCKETS)
		give_sockets(talk);
	else
		stop_or_reload(talk, message);
}

static bool is_order(unsigned type)
{
	return type == CREW__MSG_STOP_ALL || type == CREW__MSG_RELOAD || type == CREW__MSG_KICK ||
	       type == CREW__MSG_SET || type == CREW__MSG_SOCKETS;
}

static void on_talk(struct crew__source *source, unsigned events)
{
	static struct crew__message message; /* large; one loop, one thread */
	struct conversation *talk = crew__container_of(source, struct conversation, source);
	int got = crew__wire_receive(source->fd, &message);
	if (got == -EAGAIN)
		return;
	if (got <= 0) {
		end(talk);
		return;
	}
	crew__message_release(&message);
	if (message.type == CREW__MSG_ATTACH)
		show(talk);
	else if (is_order(message.type) && (events & CREW__HUP))
		end(talk); /* whoever gave it has given up, and said so */
	else if (is_order(message.type))
		act(talk, &message);
	else
		refuse(talk,
			"this program does not know that request: is the command of another version?");
}

void crew__control_reloaded(struct crew__control *control, int exit_status, const char *sentence)
{
	struct {
		int32_t status;
		char text[1024];
	} done = { .status = exit_status };
	snprintf(done.text, sizeof(done.text), "%s", sentence);
	size_t length = offsetof(__typeof__(done), text) + strlen(done.text);
	struct crew__node *node = control->conversations.next;
	while (node != &control->conversations) {
		struct conversation *talk = crew__container_of(node, struct conversation, node);
		node = node->next;
		if (!talk->awaits_reload)
			continue;
		talk->awaits_reload = false;
		answer(talk, CREW__MSG_DONE, &done, length);
	}
}

/* ---- the door ------------------------------------------------------------------------------ */

/* Commands that hang must not keep others out: the one that has waited longest for nothing goes. */
static void make_room(struct crew__control *control, unsigned most)
{
	if (control->count >= most)
		end(crew__container_of(control->conversations.next, struct conversation, node));
}

static int begin(struct crew__control *control, int fd)
{
	struct conversation *talk = calloc(1, sizeof(*talk));
	if (!talk)
		return -ENOMEM;
	int status = crew__endpoint_peer(fd, &talk->uid);
	talk->control = control;
	talk->may_act = talk->uid == 0 || talk->uid == geteuid() ||
			(control->has_act_group &&
				crew__endpoint_peer_is_member(fd, control->act_group));
	talk->source = (struct crew__source){ .fn = on_talk, .fd = fd };
	if (status == 0)
		status = crew__loop_add(control->plan.loop, &talk->source, CREW__READ);
	if (status < 0) {
		free(talk);
		return status;
	}
	make_room(control, CONVERSATIONS_MAX);
	control->count++;
	crew__list_push(&control->conversations, &talk->node);
	return 0;
}

static void on_door(struct crew__source *source, unsigned events)
{
	struct crew__control *control = crew__container_of(source, struct crew__control, door);
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			make_room(control, 1);
		if (fd < 0)
			return;
		if (begin(control, fd) < 0)
			close(fd);
	}
}

/* Takes fd over in every case. */
static int make(const struct crew__control_plan *plan, int fd, struct crew__control **ret_control,
	char *ret_error, size_t error_size)
{
	gid_t act_group;
	int found = crew__endpoint_act_group(plan->settings, &act_group, ret_error, error_size);
	if (found < 0) {
		close(fd);
		return found;
	}
	struct crew__control *control = calloc(1, sizeof(*control));
	int status = control ? 0 : -ENOMEM;
	if (control) {
		control->plan = *plan;
		control->has_act_group = found > 0;
		control->act_group = found > 0 ? act_group : 0;
		control->door = (struct crew__source){ .fn = on_door, .fd = fd };
		control->hook = (struct crew__turn_hook){ .fn = free_ended };
		crew__list_init(&control->conversations);
		crew__list_init(&control->ended);
		status = crew__loop_add(plan->loop, &control->door, CREW__READ);
	}
	if (status < 0) {
		snprintf(ret_error, error_size, "cannot watch the control socket: %s",
			strerror(-status));
		free(control);
		close(fd);
		return status;
	}
	*ret_control = control;
	return 0;
}

int crew__control_new(const struct crew__control_plan *plan, struct crew__control **ret_control,
	char *ret_error, size_t error_size)
{
	int fd = crew__endpoint_listen(plan->settings, ret_error, error_size);
	int status = fd < 0 ? fd : make(plan, fd, ret_control, ret_error, error_size);
	if (fd >= 0 && status < 0)
		crew__endpoint_unlink(plan->settings);
	return status;
}

/* ---- from image to image ------------------------------------------------------------------- */

json_t *crew__control_save(const struct crew__control *control)
{
	json_t *talks = json_array();
	const struct crew__node *head = &control->conversations;
	for (const struct crew__node *n = head->next; n != head; n = n->next) {
		const struct conversation *talk = crew__container_of(n, struct conversation, node);
		json_array_append_new(talks, json_pack("{s:i, s:b}", "fd", talk->source.fd,
						     "awaits_reload", (int)talk->awaits_reload));
	}
	return json_pack("{s:i, s:o}", "fd", control->door.fd, "talks", talks);
}

int crew__control_resume(const struct crew__control_plan *plan, const json_t *saved,
	struct crew__control **ret_control, char *ret_error, size_t error_size)
{
	size_t i;
	json_t *talk;
	const json_t *door = json_object_get(saved, "fd");
	if (!json_is_integer(door)) {
		snprintf(ret_error, error_size, "the control socket is missing");
		return -EPROTO;
	}
	int status = make(plan, (int)json_integer_value(door), ret_control, ret_error, error_size);
	if (status < 0)
		return status;
	json_array_foreach(json_object_get(saved, "talks"), i, talk)
	{
		int fd = (int)json_integer_value(json_object_get(talk, "fd"));
		if (fd <= STDERR_FILENO)
			continue;
		/* Who cannot be kept asks again. */
		if (begin(*ret_control, fd) < 0) {
			close(fd);
			continue;
		}
		struct conversation *last = crew__container_of(
			(*ret_control)->conversations.prev, struct conversation, node);
		last->awaits_reload = json_is_true(json_object_get(talk, "awaits_reload"));
	}
	return 0;
}

void crew__control_free(struct crew__control *control)
{
	if (!control)
		return;
	while (!crew__list_empty(&control->conversations))
		end(crew__container_of(control->conversations.next, struct conversation, node));
	if (!crew__list_empty(&control->ended))
		free_ended(&control->hook);
	int fd = control->door.fd;
	crew__loop_remove(control->plan.loop, &control->door);
	close(fd);
	crew__endpoint_unlink(control->plan.settings);
	free(control);
}
