import os, sys
path = sys.argv[2]
print(open(path).read() if os.path.isfile(path) else sorted(os.listdir(path)))
