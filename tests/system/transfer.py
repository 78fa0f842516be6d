"""One TCP transfer with a digest at both ends. usage: transfer.py sink ADDRESS PORT | transfer.py send ADDRESS PORT BYTES"""
import hashlib
import socket
import sys


def main():
    verb, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    digest = hashlib.sha256()
    with socket.socket(family, socket.SOCK_STREAM) as endpoint:
        endpoint.settimeout(60)
        if verb == "sink":
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            endpoint.bind((address, port))
            endpoint.listen(1)
            print("ready", flush=True)
            connection, _ = endpoint.accept()
            with connection:
                connection.settimeout(60)
                while block := connection.recv(1 << 18):
                    digest.update(block)
                connection.sendall(b"got it")
        else:
            endpoint.connect((address, port))
            left, number = int(sys.argv[4]), 0
            while left > 0:
                block = (hashlib.sha256(str(number).encode()).digest() * 2048)[:min(left, 65536)]
                endpoint.sendall(block)
                digest.update(block)
                left -= len(block)
                number += 1
            endpoint.shutdown(socket.SHUT_WR)
            if endpoint.recv(16) != b"got it":
                sys.exit("the receiver did not say that it got everything")
    print(digest.hexdigest())


if __name__ == "__main__":
    main()
