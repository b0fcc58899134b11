/* testament.c - writing everything down, and becoming the next image.
 *
 * Places, ids and indices are those of the directory and the registry, which live in shared memory
 * and go over as they are. Pointers become such numbers; what can be found anew is left out. */
#include "proc/testament.h"

#include "proc/role.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- writing ------------------------------------------------------------------------------- */

static void leave(struct crew__bequest *bequest, int fd)
{
	if (fd > STDERR_FILENO && bequest->count < CREW__TESTAMENT_FDS)
		bequest->fds[bequest->count++] = fd;
}

/* NULL when there is no memory for it: a text that leaves somebody out is worse than none. */
static json_t *append(json_t *take_array, json_t *take_value)
{
	if (json_array_append_new(take_array, take_value) == 0)
		return take_array;
	json_decref(take_array);
	return NULL;
}

static json_t *pack_fd(struct crew__bequest *bequest, int fd)
{
	leave(bequest, fd);
	return json_integer(fd);
}

static json_t *pack_entry(
	struct crew__bequest *bequest, unsigned index, const struct crew__entry *entry)
{
	const struct crew__life *life = &entry->life;
	return json_pack("{s:i, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:o, s:i, s:b}",
		"index", (int)index, "life", (json_int_t)life->life, "serial",
		(json_int_t)entry->serial, "service", (int)life->service, "id", (int)life->id,
		"generation", (int)life->generation, "pid", (int)life->pid, "state",
		(int)life->state, "young", (int)life->young, "next_ns", (json_int_t)life->next_ns,
		"fd", pack_fd(bequest, entry->segment.fd), "slots", (int)entry->slots, "vacancy",
		(int)entry->is_vacancy);
}

static json_t *pack_registry(struct crew__bequest *bequest, const struct crew__registry *registry)
{
	json_t *entries = json_array();
	for (unsigned i = 0; i < registry->used; i++)
		if (registry->entries[i].life.life != 0)
			entries = append(entries, pack_entry(bequest, i, &registry->entries[i]));
	return json_pack("{s:o, s:I, s:I, s:o}", "directory_fd",
		pack_fd(bequest, registry->directory.fd), "last_life",
		(json_int_t)registry->directory.last_life, "serials", (json_int_t)registry->serials,
		"entries", entries);
}

static json_t *pack_place(struct crew__bequest *bequest, const struct crew__listening *place)
{
	json_t *fds = json_array();
	for (unsigned i = 0; i < place->count; i++)
		fds = append(fds, pack_fd(bequest, place->fds[i]));
	return json_pack("{s:o, s:I, s:I}", "fds", fds, "device",
		(json_int_t)place->address.file_device, "inode",
		(json_int_t)place->address.file_inode);
}

static json_t *pack_keepers(const struct crew__listener *listener)
{
	json_t *keepers = json_array();
	for (unsigned i = 0; i < listener->each; i++)
		keepers = append(keepers, json_integer(listener->keepers[i]));
	return keepers;
}

static json_t *pack_service(struct crew__bequest *bequest, const struct crew__master *master,
	const struct crew__generation *generation, unsigned index)
{
	unsigned place = generation->place[index];
	const struct crew__listener *listener = &generation->listeners.service[place];
	const struct crew__tls_secret *secret = &master->family.secrets[place];
	json_t *listens = json_array();
	char bytes[2 * CREW__TLS_SECRET + 1];
	for (unsigned i = 0; i < listener->count; i++)
		listens = append(listens, pack_place(bequest, &listener->places[i]));
	for (size_t i = 0; i < CREW__TLS_SECRET; i++)
		snprintf(bytes + 2 * i, 3, "%02x", secret->bytes[i]);
	bool has_tls = generation->certificates.service[place].has;
	json_t *service = json_pack("{s:s, s:i, s:o, s:o, s:I, s:s}", "name",
		generation->settings->service[index].service->name, "place", (int)place, "listens",
		listens, "keepers", pack_keepers(listener), "epoch", (json_int_t)secret->epoch,
		"secret", bytes);
	int failed = has_tls ? json_object_set_new(service, "tls_fd",
				       pack_fd(bequest, generation->certificates.service[place].fd))
			     : 0;
	explicit_bzero(bytes, sizeof(bytes));
	if (!failed)
		return service;
	json_decref(service);
	return NULL;
}

static json_t *pack_generation(struct crew__bequest *bequest, const struct crew__master *master)
{
	const struct crew__generation *generation = master->generation;
	json_t *services = json_array();
	for (unsigned i = 0; i < generation->settings->services; i++)
		services = append(services, pack_service(bequest, master, generation, i));
	return json_pack("{s:i, s:o, s:o, s:o}", "number", (int)generation->number, "program_fd",
		pack_fd(bequest, generation->program_fd), "settings_fd",
		pack_fd(bequest, generation->settings_fd), "services", services);
}

static json_t *pack_told(const struct crew__child *child)
{
	json_t *told = json_array();
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		if (child->told[i] != 0)
			told = append(
				told, json_pack("[i, I]", (int)i, (json_int_t)child->told[i]));
	return told;
}

static json_t *pack_output(struct crew__bequest *bequest, struct crew__child *child)
{
	const char *key;
	json_t *output = json_object(), *fd;
	crew__output_save(&child->output, output);
	json_object_foreach(output, key, fd)
	{
		if (json_is_integer(fd))
			leave(bequest, (int)json_integer_value(fd));
	}
	return output;
}

static json_t *pack_child(
	struct crew__bequest *bequest, const struct crew__master *master, struct crew__child *child)
{
	return json_pack("{s:i, s:i, s:i, s:o, s:i, s:i, s:b, s:b, s:b, s:b, s:I, s:I, s:o, s:o}",
		"pid", (int)child->pid, "service", (int)child->service, "id", (int)child->id,
		"wire_fd", pack_fd(bequest, child->wire.fd), "entry",
		(int)crew__entry_index(master->registry, child->entry), "state", (int)child->state,
		"expected", (int)child->expected, "was_ready", (int)child->was_ready,
		"memory_judged", (int)child->memory_judged, "memory_counts",
		(int)child->memory_counts, "began_ns", (json_int_t)child->began_ns, "deadline_ns",
		(json_int_t)child->deadline_ns, "told", pack_told(child), "output",
		pack_output(bequest, child));
}

static json_t *pack_children(struct crew__bequest *bequest, const struct crew__master *master)
{
	json_t *children = json_array();
	const struct crew__node *head = &master->family.children;
	for (const struct crew__node *n = head->next; n != head; n = n->next)
		children = append(
			children, pack_child(bequest, master,
					  crew__container_of(n, struct crew__child, node)));
	return children;
}

static json_t *pack_slot(const struct crew__master *master, const struct crew__slot *slot)
{
	json_t *packed = json_pack("{s:i, s:i, s:i, s:b}", "service", (int)slot->service, "id",
		(int)slot->id, "young", (int)slot->backoff.young, "was_ready",
		(int)slot->was_ready);
	int failed = 0;
	if (slot->child)
		failed |= json_object_set_new(packed, "pid", json_integer(slot->child->pid));
	if (slot->vacancy)
		failed |= json_object_set_new(packed, "vacancy",
			json_integer(crew__entry_index(master->registry, slot->vacancy)));
	if (!failed)
		return packed;
	json_decref(packed);
	return NULL;
}

static json_t *pack_slots(const struct crew__master *master)
{
	json_t *slots = json_array();
	for (unsigned i = 0; i < master->slot_count; i++)
		slots = append(slots, pack_slot(master, master->slots[i]));
	return slots;
}

static json_t *pack_control(struct crew__bequest *bequest, const struct crew__master *master)
{
	json_t *control = crew__control_save(master->control);
	size_t i;
	json_t *talk;
	leave(bequest, (int)json_integer_value(json_object_get(control, "fd")));
	json_array_foreach(json_object_get(control, "talks"), i, talk)
	{
		leave(bequest, (int)json_integer_value(json_object_get(talk, "fd")));
	}
	return control;
}

static json_t *pack_log(struct crew__bequest *bequest, const struct crew__master *master)
{
	json_t *log = json_object();
	crew__log_file_save(&master->log, log);
	leave(bequest, master->log.fd);
	return log;
}

static json_t *pack_manager(const struct crew__master *master)
{
	json_t *manager = json_object(), *stored = json_array();
	crew__herald_save(&master->herald, manager);
	json_object_set_new(manager, "stored", stored);
	for (size_t i = 0; master->fd_store && i < master->fd_store->count; i++)
		json_array_append_new(stored, json_string(master->fd_store->names[i]));
	return manager;
}

static json_t *pack(struct crew__bequest *bequest, const struct crew__master *master)
{
	json_t *watch = json_object();
	json_t *packed = json_pack("{s:i, s:s, s:o, s:s, s:o, s:s, s:b, s:i}", "crew_master",
		CREW__TESTAMENT_VERSION, "path", master->launch.path, "cwd_fd",
		pack_fd(bequest, master->launch.cwd_fd), "mode", master->mode, "pidfile_fd",
		pack_fd(bequest, master->pidfile->fd), "pidfile", master->pidfile->path,
		"has_terminal", (int)master->has_terminal, "reload", (int)master->reload.number);
	int failed = json_object_set_new(packed, "log", pack_log(bequest, master));
	failed |= json_object_set_new(packed, "control", pack_control(bequest, master));
	failed |= json_object_set_new(packed, "registry", pack_registry(bequest, master->registry));
	failed |= json_object_set_new(packed, "generation", pack_generation(bequest, master));
	failed |= json_object_set_new(packed, "children", pack_children(bequest, master));
	failed |= json_object_set_new(packed, "slots", pack_slots(master));
	failed |= json_object_set_new(packed, "manager", pack_manager(master));
	failed |= json_object_set_new(packed, "watch", watch);
	failed |= crew__watch_save(&master->watch, watch);
	if (!failed)
		return packed;
	json_decref(packed);
	return NULL;
}

int crew__testament_write(const struct crew__master *master, struct crew__bequest *ret_bequest,
	char *ret_error, size_t error_size)
{
	ret_bequest->count = 0;
	json_t *testament = pack(ret_bequest, master);
	char *text = testament ? json_dumps(testament, JSON_COMPACT) : NULL;
	json_decref(testament);
	int fd = text ? memfd_create("crew-master", MFD_CLOEXEC) : -1;
	int status = text ? 0 : -ENOMEM;
	if (text && (fd < 0 || dprintf(fd, "%s", text) < 0))
		status = -errno;
	free(text);
	if (ret_bequest->count == CREW__TESTAMENT_FDS)
		status = -EMFILE;
	if (status == 0)
		return fd;
	snprintf(ret_error, error_size, "its state cannot be written down: %s", strerror(-status));
	if (fd >= 0)
		close(fd);
	return status;
}

/* ---- the rehearsal ------------------------------------------------------------------------- */

pid_t crew__testament_rehearse(
	const struct crew__master *master, int testament_fd, const struct crew__bequest *bequest)
{
	pid_t present = getpid(), pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	const struct crew__role_fds fds = { bequest->count, bequest->fds };
	crew__role_exec(&master->launch, master->generation->program_fd, CREW__MASTER_VARIABLE,
		testament_fd, &fds, present);
}

bool crew__testament_rehearsed(int testament_fd)
{
	struct stat st;
	return fstat(testament_fd, &st) == 0 && st.st_size == 0;
}

void crew__testament_refusal(int testament_fd, char *text, size_t size)
{
	ssize_t length = pread(testament_fd, text, size - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	if (text[0] == '{' || text[0] == '\0')
		snprintf(text, size, "it said nothing; see the log");
}

/* ---- the end ------------------------------------------------------------------------------- */

int crew__testament_execute(
	const struct crew__master *master, int testament_fd, const struct crew__bequest *bequest)
{
	const struct crew__role_fds fds = { bequest->count, bequest->fds };
	int error = crew__role_become(&master->launch, master->generation->program_fd,
		CREW__MASTER_VARIABLE, testament_fd, &fds, getpid());
	/* No child of ours may inherit any. */
	for (size_t i = 0; i < fds.count; i++)
		fcntl(fds.fds[i], F_SETFD, FD_CLOEXEC);
	fcntl(testament_fd, F_SETFD, FD_CLOEXEC);
	return error;
}
