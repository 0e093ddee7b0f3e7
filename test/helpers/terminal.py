# Runs a command in a terminal of its own: what comes in is typed, what it shows goes out.
#   python3 terminal.py COLUMNS ROWS COMMAND…
import fcntl, os, pty, select, struct, sys, termios

columns, rows, *command = sys.argv[1:]
child, master = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
    os.execvp(command[0], command)
sources = {master: 1, 0: master}
while True:
    try:
        for source in select.select(list(sources), [], [])[0]:
            data = os.read(source, 65536)
            if data:
                os.write(sources[source], data)
            elif source == 0:
                del sources[0]
            else:
                raise OSError
    except OSError:
        break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
