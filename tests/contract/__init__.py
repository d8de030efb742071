"""What clients of the published model may rely on, over REST and gRPC, whichever server answers.

By default the suite starts the local server on a tiny model. The same tests run against TensorFlow Serving:

    docker run -p 8500:8500 -p 8501:8501 -e MODEL_NAME=six_class \
        -v $PWD/runs/serving/six_class:/models/six_class tensorflow/serving
    FASHION_ENDPOINT=rest=http://localhost:8501,grpc=localhost:8500,model=six_class pytest tests/contract

Only what TensorFlow Serving documents or does belongs here; what the local server does besides is tested in
tests/serving/test_server_app.py.
"""
